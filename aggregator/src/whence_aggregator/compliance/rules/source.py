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
    """Pass by what the agent read from the image, too; the reason states that the registry was not read."""
    verdict = source_missing_1(evidence)
    if verdict.outcome == "pass" and (evidence.image is None or evidence.image.outcome == "unknown"):
        return passed(f"{verdict.reason}; the registry was not read, and may contradict it")
    return verdict


def source_missing_1(evidence: SubjectEvidence) -> Verdict:
    return NOTHING_RUNS if nothing_runs(evidence) else from_link(evidence, "source")


def source_dirty(evidence: SubjectEvidence) -> Verdict:
    """Fail when any claim states uncommitted changes; pass once the registry was read, which may have more claims."""
    verdict = source_dirty_2(evidence)
    if verdict.outcome != "pass":
        return verdict
    image = known(evidence.image, "the image in its registry")
    if image.outcome == "unknown":
        return unknown(f"the registry was not read, and may state uncommitted changes: {image.reason}")
    return verdict


def source_dirty_2(evidence: SubjectEvidence) -> Verdict:
    """Fail when any claim states uncommitted changes: a builder that states none may not have checked."""
    if nothing_runs(evidence):
        return NOTHING_RUNS
    source = known(evidence.source, "the source")
    if not source.stated:
        return unknown("no source is known for the image")
    if known(source.dirty, "whether the tree had uncommitted changes"):
        return failed("the image was built from a tree with uncommitted changes")
    return passed("the source tree was clean")
