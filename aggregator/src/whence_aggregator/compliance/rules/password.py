"""The rule about passwords that nobody needs."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, passed, unknown
from whence_aggregator.compliance.rules.credentials import NO_IDS, NOT_MINTED, minted_for


def password_grant_used(evidence: SubjectEvidence) -> Verdict:
    """Fail when an instance holds user.json, and it is known that its application needs its client alone."""
    minted = minted_for(evidence)
    if not minted.kinds:
        return NOT_MINTED
    if evidence.held is None:
        return NO_IDS
    if not any(one.kind == "user" for one in evidence.held):
        return passed("the instance holds no user.json")
    if "user" not in minted.kinds:
        return failed("the instance holds user.json, although mint makes only a client for the application")
    if known(evidence.machine, "a statement of the agent").token_source == "client":  # noqa: S105 - a setting
        return failed("the instance holds user.json, although user data states that all tokens are its client's")
    return unknown("the instance holds user.json; whether the application needs it is not stated")
