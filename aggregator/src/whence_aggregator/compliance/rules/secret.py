"""The rule about secrets in user data."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOT_COLLECTED, Verdict, failed, inventory_of, known, passed, unknown

_NAMED_MAX = 5


def secret_in_user_data(evidence: SubjectEvidence) -> Verdict:
    """Judge the user data that the EC2 API returns, which everybody can read who may describe the instance.

    A secret of a known format, or a password in plain text, fails. A value that may be a secret by its name, or because
    it looks random, is unknown.
    """
    listed = inventory_of(evidence)
    if not listed.listed_at:
        return NOT_COLLECTED
    if listed.secrets:
        return failed(f"user data contains a secret in plain text: {_named(listed.secrets)}")
    if listed.user_data_unread:
        return unknown(f"the EC2 API's user data was not read: {listed.user_data_unread}")
    known(listed.secrets, "whether the user data contains secrets: it was not searched, or cannot be read as YAML")
    doubtful = known(listed.doubtful, "whether the user data contains values that may be secrets")
    if doubtful:
        return unknown(f"these values may be secrets in plain text: {_named(doubtful)}")
    return passed("no value of the user data may be a secret")


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _NAMED_MAX} more" if len(paths) > _NAMED_MAX else ""
    return ", ".join(paths[:_NAMED_MAX]) + more
