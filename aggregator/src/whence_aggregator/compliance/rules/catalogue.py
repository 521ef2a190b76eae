"""The list of rules, as `GET /v1/rules` returns it. Each rule is a function of the evidence."""

from __future__ import annotations

from whence_aggregator.compliance.presence import ended
from whence_aggregator.compliance.rule import InstanceEvidence, Rule, Verdict
from whence_aggregator.compliance.rules.agent import AGENT_SILENT, agent_silent
from whence_aggregator.compliance.rules.application import application_inactive, application_unregistered
from whence_aggregator.compliance.rules.boot import boot_failed
from whence_aggregator.compliance.rules.clock import CLOCK_OFF, clock_off
from whence_aggregator.compliance.rules.commit import commit_not_found, commit_unmerged
from whence_aggregator.compliance.rules.drift import drift
from whence_aggregator.compliance.rules.image import image_mutable
from whence_aggregator.compliance.rules.instance import INSTANCE_UNLISTED, instance_unlisted
from whence_aggregator.compliance.rules.source import source_dirty, source_missing
from whence_aggregator.compliance.rules.ticket import ticket_missing
from whence_aggregator.compliance.rules.user_data import USER_DATA_CHANGED, user_data_changed

RULES: tuple[Rule, ...] = (
    Rule(id="application-unregistered", title="The application is in the application registry", severity=2,
         remedy="register it: PUT /apps/{application_id}", judge=application_unregistered),
    Rule(id="image-mutable", title="The image cannot change under its name", severity=1,
         remedy="name it by digest, or by a tag in an immutable registry", judge=image_mutable),
    Rule(id="source-missing", title="The image states which source it was built from", severity=2,
         remedy="put scm-source.json at the image's root when building it", judge=source_missing),
    Rule(id="source-dirty", title="The image was built from committed source", severity=1,
         remedy="commit, build again from the commit, deploy that image", judge=source_dirty, version=2),
    Rule(id="commit-not-found", title="The commit exists on its Git server", severity=1,
         remedy="push the commit, or let the aggregator read the repository", judge=commit_not_found),
    Rule(id="ticket-missing", title="The commit names a ticket", severity=3,
         remedy="name the ticket in the commit message", judge=ticket_missing),
    Rule(id="boot-failed", title="The instance booted", severity=2,
         remedy="correct the user data and replace the instance", judge=boot_failed),
    Rule(id="drift", title="Only what user data declares runs, unchanged", severity=1,
         remedy="find out who changed it; replace the instance by one from its user data", judge=drift),
    Rule(id=AGENT_SILENT, title="The agent is heard regularly", severity=1,
         remedy="look at the instance: journalctl -u whence-agent", judge=agent_silent),
    Rule(id=USER_DATA_CHANGED, title="The EC2 API has the user data that the machine was booted from", severity=1,
         remedy="find out who changed it while the instance was stopped; replace the instance",
         judge=user_data_changed),
    Rule(id=INSTANCE_UNLISTED, title="The EC2 API lists every instance that is heard", severity=1,
         remedy="find out who uses the instance's key", judge=instance_unlisted),
    Rule(id=CLOCK_OFF, title="The machine's clock is right", severity=3,
         remedy="synchronise the machine's clock: `chronyc tracking` shows its source", judge=clock_off),
    Rule(id="commit-unmerged", title="The default branch reaches the commit", severity=2,
         remedy="merge the commit, or build from the default branch and deploy that image", judge=commit_unmerged),
    Rule(id="application-inactive", title="The application is active in the application registry", severity=2,
         remedy="stop its instances, or set it to active: PUT /apps/{application_id}", judge=application_inactive),
)  # fmt: skip
assert len({rule.id for rule in RULES}) == len(RULES) > 0
RULE_VERSIONS = {rule.id: rule.version for rule in sorted(RULES, key=lambda one: one.id)}


def judge(rule: Rule, evidence: InstanceEvidence) -> Verdict:
    """Return the verdict of one rule. For an ended instance only `instance-unlisted` can fail."""
    gone = ended(evidence) if rule.id != INSTANCE_UNLISTED else None
    return gone or rule.judge(evidence)
