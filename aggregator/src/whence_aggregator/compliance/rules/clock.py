"""The rule about machines' clocks."""

from __future__ import annotations

from datetime import datetime, timedelta

from whence_aggregator.compliance.rule import InstanceEvidence, Verdict
from whence_aggregator.trace.facts import HeardClock
from whence_aggregator.trace.listening import CLOCK_OFF_SECONDS
from whence_common.clock import parse_instant, to_instant

CLOCK_OFF = "clock-off"
BY_HEARTBEATS = "by its heartbeats, "
"""How each reason begins that rests on heartbeats: they move no entry, so the sweep finds these verdicts by it."""


def clock_off(evidence: InstanceEvidence) -> Verdict:
    """Judge the machine's clock when it made its newest statement, then as its newest heartbeats show it.

    A statement may be delivered late, so a clock that is behind cannot be told from a delay; one that is ahead of the
    recording, or before the launch that the statement itself names, can.
    """
    by_statement = _by_statement(evidence)
    heard = evidence.facts.heard_clock
    if heard is None or by_statement.outcome == "fail":
        return by_statement
    return _by_heartbeats(heard) or by_statement


def _by_statement(evidence: InstanceEvidence) -> Verdict:
    facts, off = evidence.facts, timedelta(seconds=CLOCK_OFF_SECONDS)
    statement = facts.statement
    observed, recorded = parse_instant(statement.observed_at), parse_instant(statement.recorded_at)
    times = f"the statement is of {statement.observed_at} and was recorded at {statement.recorded_at}"
    launched = _launched(statement.predicate.instance.pending_time) or _launched(facts.binding.identity["pending_time"])
    if observed - recorded > off:
        return Verdict(outcome="fail", reason=f"the clock was {_seconds(observed - recorded)} ahead: {times}")
    if launched is not None and launched - observed > off:
        reason = f"the clock was before the launch of the machine at {to_instant(launched)}: {times}"
        return Verdict(outcome="fail", reason=reason)
    if recorded - observed > off:
        late = _seconds(recorded - observed)
        reason = f"the clock was behind, or the statement was delivered {late} late: {times}"
        return Verdict(outcome="unknown", reason=reason)
    return Verdict(outcome="pass", reason=f"the clock was right to {CLOCK_OFF_SECONDS} s")


def _by_heartbeats(heard: HeardClock) -> Verdict | None:
    """Judge by heartbeats; None where they show nothing wrong.

    A heartbeat is not kept for later: the agent sends it at once and gives up after seconds. One alone may still have
    been held up, by a network or an aggregator that stood still. Heartbeats that are all late over some time are a
    clock that is behind, or all held back, which is worth the same look.
    """
    off = timedelta(seconds=CLOCK_OFF_SECONDS)
    if heard.skew > off:
        return Verdict(outcome="fail", reason=f"{BY_HEARTBEATS}the clock is {_seconds(heard.skew)} ahead")
    if heard.skew >= -off:
        return None
    behind = f"{BY_HEARTBEATS}the clock is {_seconds(-heard.skew)} behind"
    if heard.confirmed:
        return Verdict(outcome="fail", reason=behind)
    return Verdict(outcome="unknown", reason=f"{behind}, or one of them was held up on its way")


def _launched(pending_time: str) -> datetime | None:
    try:
        return parse_instant(pending_time)
    except ValueError:
        return None


def _seconds(difference: timedelta) -> str:
    return f"{difference.total_seconds():.0f} s"
