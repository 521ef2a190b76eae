"""The rule about provenance that is about another image."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import NOTHING_RUNS, Verdict, failed, known, nothing_runs, passed


def provenance_subject_mismatch(evidence: SubjectEvidence) -> Verdict:
    if nothing_runs(evidence):
        return NOTHING_RUNS
    build = known(evidence.build, "the provenance")
    what = "the subjects of the provenance beside the image: `trust` names nobody for its registry, or not all was read"
    if known(build.other_subjects, what):
        return failed("a provenance beside the image is about another digest")
    return passed("no provenance beside the image is about another digest")
