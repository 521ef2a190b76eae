"""The rule about agents that stopped sending heartbeats."""

from __future__ import annotations

from datetime import timedelta

from whence_aggregator.compliance.presence import EC2_LAG, STANDING_STILL, launched, life_of
from whence_aggregator.compliance.rule import NOT_COLLECTED, InstanceEvidence, Verdict
from whence_common.clock import parse_instant, to_instant
from whence_common.heartbeat import HEARTBEATS

AGENT_SILENT = "agent-silent"


def agent_silent(evidence: InstanceEvidence) -> Verdict:
    """Judge silence: it fails only when a listing shows that the machine ran after the silence began."""
    facts = evidence.facts
    if facts.life in STANDING_STILL:
        return Verdict(outcome="gone", reason=f"subject gone: {life_of(evidence)}")
    if facts.last_seen is None:
        return Verdict(outcome="unknown", reason="the agent was never heard")
    seen = parse_instant(facts.last_seen)
    owed = max(seen, evidence.listening_since, launched(evidence) or seen)
    due = owed + max(timedelta(seconds=evidence.silent_after_seconds), EC2_LAG)
    if seen + timedelta(seconds=evidence.silent_after_seconds) >= evidence.now:
        return Verdict(outcome="pass", reason="the agent was heard recently")
    silent = f"silent since {facts.last_seen}"
    if due >= evidence.now:
        since = to_instant(owed)
        why = f"was launched at {since}" if owed == launched(evidence) else f"could be heard only since {since}"
        return Verdict(outcome="unknown", reason=f"{silent}; it {why}")
    if not facts.listed.listed_at:
        return Verdict(outcome="unknown", reason=f"{silent}; {NOT_COLLECTED.reason}")
    if facts.life == "running" and facts.statement.predicate.heartbeats < HEARTBEATS:
        upgrade = "its agent sends heartbeats without a counter, which are not accepted: upgrade the agent"
        return Verdict(outcome="unknown", reason=f"{silent}; {upgrade}")
    if facts.life == "running" and parse_instant(facts.listed.listed_at) > due:
        return Verdict(outcome="fail", reason=f"{silent}, and running in the listing of {facts.listed.listed_at}")
    awaited = f"the next listing after {to_instant(due)} is awaited; the last one was at {facts.listed.listed_at}"
    return Verdict(outcome="unknown", reason=f"{silent}; {life_of(evidence)}, and {awaited}")
