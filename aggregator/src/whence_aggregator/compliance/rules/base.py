"""The rule about the base image that an image was built from."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOTHING_RUNS, Verdict, from_scanners, known, nothing_runs


def base_image_outdated(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    scans = known(evidence.scans, "the findings of scanners about the image")
    stated = known(scans.base_image, "what scanners found about the base image")
    return from_scanners(stated, "a scanner states that the base image is current")
