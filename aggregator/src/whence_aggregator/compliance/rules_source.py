"""The rules about where a commit stands in its repository, and whether its application may run at all."""

from __future__ import annotations

from whence_aggregator.compliance.rule import NOTHING_RUNS, InstanceEvidence, Rule, Verdict
from whence_aggregator.trace.derive_source import branch_reason


def _commit_merged(evidence: InstanceEvidence) -> Verdict:
    """Fail only what Git itself has denied; a branch that could not be read denies nothing."""
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


def _application_active(evidence: InstanceEvidence) -> Verdict:
    application = evidence.facts.application
    if application is None:
        return Verdict(outcome="unknown", reason="the application registry does not know the application")
    if not application.kio.get("active"):
        return Verdict(outcome="fail", reason="the application registry has it as not active")
    return Verdict(outcome="pass", reason="the application is active")


SOURCE_RULES: tuple[Rule, ...] = (
    Rule(id="commit-unmerged", title="The default branch reaches the commit", severity=2,
         remedy="merge the commit, or build from the default branch and deploy that image", judge=_commit_merged),
    Rule(id="application-inactive", title="The application is active in the application registry", severity=2,
         remedy="stop what runs of it, or set it to active: PUT /apps/{application_id}", judge=_application_active),
)  # fmt: skip
