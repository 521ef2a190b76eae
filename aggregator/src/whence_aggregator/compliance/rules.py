"""The rules. Each is a function of the evidence; the list is what `GET /v1/rules` shows."""

from __future__ import annotations

from whence_aggregator.compliance.clock_rule import CLOCK_OFF, clock_off
from whence_aggregator.compliance.presence import (
    AGENT_SILENT,
    INSTANCE_UNLISTED,
    USER_DATA_CHANGED,
    agent_silent,
    ended,
    instance_unlisted,
    user_data_changed,
)
from whence_aggregator.compliance.rule import NOTHING_RUNS, InstanceEvidence, Rule, Verdict, from_link
from whence_aggregator.compliance.rules_source import SOURCE_RULES

_MUTABLE_CODES = ("image-tag-mutable", "image-tag-not-vouched", "image-tag-missing")


def _application_registered(evidence: InstanceEvidence) -> Verdict:
    return from_link(evidence, "application")


def _image_immutable(evidence: InstanceEvidence) -> Verdict:
    predicate = evidence.facts.statement.predicate
    for problem in predicate.problems:
        if problem.get("code") in _MUTABLE_CODES and problem.get("severity") == "error":
            return Verdict(outcome="fail", reason=f"user data asks for it: {problem.get('message')}")
    if evidence.nothing_runs:
        return NOTHING_RUNS
    link = evidence.lineage.link("image")
    if link.state == "contradicted":
        return Verdict(outcome="fail", reason=link.reason or "")
    return Verdict(outcome="pass", reason="it runs by digest")


def _source_present(evidence: InstanceEvidence) -> Verdict:
    return NOTHING_RUNS if evidence.nothing_runs else from_link(evidence, "source")


def _source_clean(evidence: InstanceEvidence) -> Verdict:
    if evidence.nothing_runs:
        return NOTHING_RUNS
    source = evidence.facts.source
    if source is None:
        return Verdict(outcome="unknown", reason="no source is known for the image")
    if source.dirty:
        return Verdict(outcome="fail", reason="the image was built from a tree with changes that are in no commit")
    return Verdict(outcome="pass", reason="the source tree was clean")


def _commit_exists(evidence: InstanceEvidence) -> Verdict:
    if evidence.nothing_runs:
        return NOTHING_RUNS
    answer = evidence.facts.commit
    if answer.outcome == "found":
        return Verdict(outcome="pass", reason="the Git server has the commit")
    link = evidence.lineage.link("commit")
    return Verdict(outcome="unknown" if link.state == "unknown" else "fail", reason=link.reason or "")


def _ticket_named(evidence: InstanceEvidence) -> Verdict:
    return NOTHING_RUNS if evidence.nothing_runs else from_link(evidence, "ticket")


def _boot_succeeded(evidence: InstanceEvidence) -> Verdict:
    predicate = evidence.facts.statement.predicate
    if predicate.cause != "failed":
        return Verdict(outcome="pass", reason="the instance booted")
    errors = [str(p.get("message", "")) for p in predicate.problems if p.get("severity") == "error"]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return Verdict(outcome="fail", reason=(errors[0] if errors else "the boot failed") + more)


def _nothing_undeclared(evidence: InstanceEvidence) -> Verdict:
    """Judge what the newest statement says was found: it is told until the next boot, since it did happen."""
    drift = evidence.facts.statement.predicate.drift
    if not drift:
        return Verdict(outcome="pass", reason="nothing was found that user data did not ask for")
    first = drift[0]
    more = f" (and {len(drift) - 1} more)" if len(drift) > 1 else ""
    detail = f" {first.detail or first.image}".rstrip()
    return Verdict(outcome="fail", reason=f"{first.kind} in {first.container}:{detail} at {first.first_at}{more}")


RULES: tuple[Rule, ...] = (
    Rule(id="application-unregistered", title="The application is in the application registry", severity=2,
         remedy="register it: PUT /apps/{application_id}", judge=_application_registered),
    Rule(id="image-mutable", title="The image cannot change under its name", severity=1,
         remedy="name it by digest, or by a tag in an immutable registry", judge=_image_immutable),
    Rule(id="source-missing", title="The image says which source it was built from", severity=2,
         remedy="put scm-source.json at the image's root when building it", judge=_source_present),
    Rule(id="source-dirty", title="The image was built from committed source", severity=1,
         remedy="commit, build again from the commit, deploy that image", judge=_source_clean),
    Rule(id="commit-not-found", title="The commit exists on its Git server", severity=1,
         remedy="push the commit, or let the aggregator read the repository", judge=_commit_exists),
    Rule(id="ticket-missing", title="The commit names a ticket", severity=3,
         remedy="name the ticket in the commit message", judge=_ticket_named),
    Rule(id="boot-failed", title="The instance booted", severity=2,
         remedy="correct the user data and replace the instance", judge=_boot_succeeded),
    Rule(id="drift", title="Only what user data declares runs, and nobody changes it", severity=1,
         remedy="find out who did it; replace the instance by one from its user data", judge=_nothing_undeclared),
    Rule(id=AGENT_SILENT, title="The agent speaks", severity=1,
         remedy="look at the instance: journalctl -u whence-agent", judge=agent_silent),
    Rule(id=USER_DATA_CHANGED, title="The EC2 API has the user data that the machine was booted from", severity=1,
         remedy="find out who changed it while the instance was stopped; replace the instance",
         judge=user_data_changed),
    Rule(id=INSTANCE_UNLISTED, title="The EC2 API lists the machine that speaks", severity=1,
         remedy="find out who holds the instance's key", judge=instance_unlisted),
    Rule(id=CLOCK_OFF, title="The machine's clock is right", severity=3,
         remedy="have the machine's clock set: `chronyc tracking` shows its source", judge=clock_off),
    *SOURCE_RULES,
)  # fmt: skip
assert len({rule.id for rule in RULES}) == len(RULES) > 0
RULE_VERSIONS = {rule.id: rule.version for rule in sorted(RULES, key=lambda one: one.id)}


def judge(rule: Rule, evidence: InstanceEvidence) -> Verdict:
    """Judge by one rule. Of an instance that ended only one thing can still be wrong: that it speaks."""
    gone = ended(evidence) if rule.id != INSTANCE_UNLISTED else None
    return gone or rule.judge(evidence)
