"""The rule about versions that run without their approvals."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOTHING_RUNS, Verdict, from_link, nothing_runs


def version_not_approved(evidence: SubjectEvidence) -> Verdict:
    return NOTHING_RUNS if nothing_runs(evidence) else from_link(evidence, "approval")
