"""The rule about agents that stopped sending heartbeats."""

from __future__ import annotations

from datetime import timedelta

from whence_aggregator.compliance.ages import instant_or_none
from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.presence import EC2_LAG, STANDING_STILL, life_of
from whence_aggregator.compliance.rule import NOT_COLLECTED, Verdict, failed, inventory_of, known, passed, unknown
from whence_aggregator.trace.silences import SILENT_SINCE
from whence_common.clock import parse_instant, to_instant


def agent_silent(evidence: SubjectEvidence) -> Verdict:
    """Judge silence: it fails only when a listing shows that the machine ran after the silence began."""
    heard = known(evidence.heard, "the heartbeats")
    if evidence.life in STANDING_STILL:
        return Verdict(outcome="gone", reason=f"subject gone: {life_of(evidence)}")
    if not heard.last_seen:
        return unknown("the agent was never heard")
    now, seen = parse_instant(evidence.now), parse_instant(heard.last_seen)
    silent_after = timedelta(seconds=heard.silent_after_seconds)
    if seen + silent_after >= now:
        return passed("the agent was heard recently")
    cloud = inventory_of(evidence)
    launched = instant_or_none(cloud.launched_at)
    owed = max(seen, parse_instant(heard.listening_since), launched or seen)
    due = owed + max(silent_after, EC2_LAG)
    silent = f"{SILENT_SINCE}{heard.last_seen}"
    if due >= now:
        since = to_instant(owed)
        why = f"was launched at {since}" if owed == launched else f"could be heard only since {since}"
        return unknown(f"{silent}; it {why}")
    cloud = inventory_of(evidence)
    if not cloud.listed_at:
        return unknown(f"{silent}; {NOT_COLLECTED.reason}")
    if evidence.life == "running" and not known(evidence.machine, "a statement of the agent").counts_heartbeats:
        upgrade = "its agent sends heartbeats without a counter, which are not accepted: upgrade the agent"
        return unknown(f"{silent}; {upgrade}")
    if evidence.life == "running" and parse_instant(cloud.listed_at) > due:
        return failed(f"{silent}, and running in a listing after {to_instant(due)}")
    awaited = f"a listing after {to_instant(due)} is awaited"
    return unknown(f"{silent}; {life_of(evidence)}, and {awaited}")
