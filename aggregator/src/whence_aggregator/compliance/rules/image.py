"""The rule about the image that an instance runs."""

from __future__ import annotations

from whence_aggregator.compliance.rule import NOTHING_RUNS, InstanceEvidence, Verdict

_MUTABLE_CODES = ("image-tag-mutable", "image-tag-not-vouched", "image-tag-missing")


def image_mutable(evidence: InstanceEvidence) -> Verdict:
    predicate = evidence.facts.statement.predicate
    for problem in predicate.problems:
        if problem.get("code") in _MUTABLE_CODES and problem.get("severity") == "error":
            return Verdict(outcome="fail", reason=f"user data asks for it: {problem.get('message')}")
    if evidence.nothing_runs:
        return NOTHING_RUNS
    link = evidence.lineage.link("image")
    if link.state == "contradicted":
        return Verdict(outcome="fail", reason=link.reason or "")
    return Verdict(outcome="pass", reason="the image runs by digest")
