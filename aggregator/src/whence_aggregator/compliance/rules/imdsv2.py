"""The rule about the version of the instance metadata service."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOT_COLLECTED, Verdict, failed, inventory_of, known, passed


def imdsv2_not_required(evidence: SubjectEvidence) -> Verdict:
    listed = inventory_of(evidence)
    if not listed.listed_at:
        return NOT_COLLECTED
    tokens = known(listed.imds_tokens, "the metadata options of the instance in the EC2 API")
    if tokens != "required":
        return failed("the instance metadata service answers requests without a token (version 1)")
    return passed("the instance metadata service requires tokens")
