"""The rules about agents and what they report."""

from __future__ import annotations

from whence_aggregator.compliance.rule import Rule, given
from whence_aggregator.compliance.rules.agent import agent_silent
from whence_aggregator.compliance.rules.clock import CLOCK_OFF, clock_off
from whence_aggregator.compliance.rules.drift import drift
from whence_aggregator.compliance.rules.report import report_identity_mismatch
from whence_aggregator.trace.silences import AGENT_SILENT

_NOW, _EARLIER = "2026-11-22T12:00:00.000Z", "2026-11-22T11:00:00.000Z"
_SINCE = {"listening_since": "2026-11-21T12:00:00.000Z"}
_TIMES = {"observed_at": _NOW, "recorded_at": _NOW}

AGENT_RULES: tuple[Rule, ...] = (
    Rule(id="drift", title="Only what user data declares runs, unchanged", severity=1, link="image",
         audit_relevant=True,
         rationale="What was started or changed by hand has no source, no review and no approval.",
         remedy="find out who changed it; replace the instance by one from its user data", judge=drift,
         examples=(given("pass", machine={"drift": []}),
                   given("fail", machine={"drift": [{"kind": "exec", "container": "taupageapp", "detail": "sh",
                                                     "first_at": _NOW}]}),
                   given("unknown"))),
    Rule(id=AGENT_SILENT, title="The agent is heard regularly", severity=1, link="instance",
         rationale="Of a machine whose agent is silent, nothing is known any more.",
         remedy="look at the instance: journalctl -u whence-agent", judge=agent_silent,
         examples=(given("pass", now=_NOW, heard={**_SINCE, "last_seen": _NOW}, cloud={"listed_at": _NOW}),
                   given("fail", now=_NOW, life="running", machine={}, heard={**_SINCE, "last_seen": _EARLIER},
                         cloud={"listed_at": _NOW, "state": "running", "launched_at": "2026-11-22T10:00:00.000Z"}),
                   given("unknown", now=_NOW, heard={**_SINCE, "last_seen": _EARLIER}, cloud={"listed_at": ""}))),
    Rule(id=CLOCK_OFF, title="The machine's clock is right", severity=3, link="instance",
         rationale="AWS refuses requests of a machine whose clock is wrong, and its times prove nothing.",
         remedy="synchronise the machine's clock: `chronyc tracking` shows its source", judge=clock_off,
         examples=(given("pass", machine=_TIMES, heard={"clock": "right"}),
                   given("fail", machine=_TIMES, heard={"clock": "ahead", "skew_seconds": 3600.0}),
                   given("unknown", machine=_TIMES, heard={"clock": "late", "skew_seconds": -400.0}))),
    Rule(id="report-identity-mismatch", title="The agent reports the identity that AWS signed", severity=1,
         link="instance", audit_relevant=True,
         rationale="An agent that names another account or region was copied, or is not ours.",
         remedy="find out what runs in place of the agent; replace the instance", judge=report_identity_mismatch,
         examples=(given("pass", machine={"account_id": "123456789012", "proved_account_id": "123456789012",
                                          "region": "eu-central-1", "proved_region": "eu-central-1"}),
                   given("fail", machine={"account_id": "999999999999", "proved_account_id": "123456789012",
                                          "region": "eu-central-1", "proved_region": "eu-central-1"}),
                   given("unknown", machine={"account_id": "123456789012"}))),
)  # fmt: skip
