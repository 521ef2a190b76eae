"""The rules about the source that an image was built from."""

from __future__ import annotations

from whence_aggregator.compliance.rule import NOTHING_RUNS, InstanceEvidence, Verdict, from_link


def source_missing(evidence: InstanceEvidence) -> Verdict:
    return NOTHING_RUNS if evidence.nothing_runs else from_link(evidence, "source")


def source_dirty(evidence: InstanceEvidence) -> Verdict:
    """Fail when any claim states uncommitted changes: a builder that states none may not have checked."""
    if evidence.nothing_runs:
        return NOTHING_RUNS
    if evidence.facts.source is None:
        return Verdict(outcome="unknown", reason="no source is known for the image")
    if evidence.facts.dirty:
        return Verdict(outcome="fail", reason="the image was built from a tree with uncommitted changes")
    return Verdict(outcome="pass", reason="the source tree was clean")
