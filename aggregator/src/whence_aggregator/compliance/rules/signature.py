"""The rule about signatures of images that no trusted key made."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOTHING_RUNS, Verdict, failed, known, nothing_runs, passed, unknown


def signature_invalid(evidence: SubjectEvidence) -> Verdict:
    """Fail when an image has signatures and none is valid by a trusted key."""
    if nothing_runs(evidence):
        return NOTHING_RUNS
    image = known(evidence.image, "the image in its registry")
    if image.outcome not in ("found", "missing"):
        return unknown(f"the registry was not read: {image.reason or 'it does not have the image'}")
    signed_by = known(image.signed_by, "whether a trusted key signed the image")
    if signed_by:
        return passed(f"the signature by {signed_by} is valid")
    if not known(image.signatures, "the number of signatures"):
        return unknown("the image has no signature")
    return failed("the image has signatures, and none of them is valid by a trusted key")
