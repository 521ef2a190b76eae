"""The rule about who may sign images."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOTHING_RUNS, Verdict, failed, known, nothing_runs, passed, unknown


def signer_not_allowed(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    allowed = known(evidence.settings.signers, "the setting rules.signers")
    signed_by = known(known(evidence.image, "the image in its registry").signed_by, "who signed the image")
    if not signed_by:
        return unknown("no trusted key signed the image")
    if signed_by not in allowed:
        return failed(f"the image was signed by {signed_by}, which is not in rules.signers")
    return passed(f"the image was signed by {signed_by}")
