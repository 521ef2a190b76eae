"""The rules about the source that an image was built from."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import (
    NOTHING_RUNS,
    Verdict,
    failed,
    from_link,
    known,
    nothing_runs,
    passed,
    unknown,
)


def source_missing(evidence: SubjectEvidence) -> Verdict:
    return NOTHING_RUNS if nothing_runs(evidence) else from_link(evidence, "source")


def source_dirty(evidence: SubjectEvidence) -> Verdict:
    """Fail when any claim states uncommitted changes: a builder that states none may not have checked."""
    if nothing_runs(evidence):
        return NOTHING_RUNS
    source = known(evidence.source, "the source")
    if not source.stated:
        return unknown("no source is known for the image")
    if known(source.dirty, "whether the tree had uncommitted changes"):
        return failed("the image was built from a tree with uncommitted changes")
    return passed("the source tree was clean")
