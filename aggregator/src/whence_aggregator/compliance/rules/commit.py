"""The rules about the commit that an image was built from."""

from __future__ import annotations

from whence_aggregator.compliance.rule import NOTHING_RUNS, InstanceEvidence, Verdict
from whence_aggregator.trace.derive_source import branch_reason


def commit_not_found(evidence: InstanceEvidence) -> Verdict:
    if evidence.nothing_runs:
        return NOTHING_RUNS
    answer = evidence.facts.commit
    if answer.outcome == "found":
        return Verdict(outcome="pass", reason="the Git server has the commit")
    link = evidence.lineage.link("commit")
    return Verdict(outcome="unknown" if link.state == "unknown" else "fail", reason=link.reason or "")


def commit_unmerged(evidence: InstanceEvidence) -> Verdict:
    """Fail only when the Git server reports that the branch does not reach it; an unread branch is unknown."""
    if evidence.nothing_runs:
        return NOTHING_RUNS
    facts = evidence.facts
    if facts.commit.outcome != "found":
        return Verdict(outcome="unknown", reason="the commit was not read")
    reason = branch_reason(facts.branch)
    if reason is None:
        return Verdict(outcome="pass", reason="the default branch reaches the commit")
    denied = facts.branch.value.get("reachable") is False
    return Verdict(outcome="fail" if denied else "unknown", reason=reason)
