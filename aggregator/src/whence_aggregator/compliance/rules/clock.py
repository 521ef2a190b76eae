"""The rule about machines' clocks."""

from __future__ import annotations

from datetime import datetime, timedelta

from whence_aggregator.compliance.rule import InstanceEvidence, Verdict
from whence_aggregator.trace.facts import HeardClock
from whence_aggregator.trace.listening import CLOCK_OFF_SECONDS
from whence_common.clock import parse_instant, to_instant

CLOCK_OFF = "clock-off"
BY_HEARTBEATS = "by its heartbeats, "
"""The prefix of reasons from heartbeats. Heartbeats append no entry, so the sweep finds these verdicts by it."""


def clock_off(evidence: InstanceEvidence) -> Verdict:
    """Judge the machine's clock by its newest statement, then by its newest heartbeats.

    A statement may be delivered late, so a clock that is behind cannot be distinguished from a delay; one that is ahead
    of the recording, or before the launch that the statement names, can.
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
    """Return the verdict by heartbeats; None when they show no skew.

    The agent sends a heartbeat at once and gives up after seconds, so it is not delivered later. A single one may still
    be delayed by the network or the aggregator. If all heartbeats over some time are late, the clock is behind or all
    are delayed, and both are worth a check.
    """
    off = timedelta(seconds=CLOCK_OFF_SECONDS)
    if heard.skew > off:
        return Verdict(outcome="fail", reason=f"{BY_HEARTBEATS}the clock is {_seconds(heard.skew)} ahead")
    if heard.skew >= -off:
        return None
    behind = f"{BY_HEARTBEATS}the clock is {_seconds(-heard.skew)} behind"
    if heard.confirmed:
        return Verdict(outcome="fail", reason=behind)
    return Verdict(outcome="unknown", reason=f"{behind}, or one of them was delayed")


def _launched(pending_time: str) -> datetime | None:
    try:
        return parse_instant(pending_time)
    except ValueError:
        return None


def _seconds(difference: timedelta) -> str:
    return f"{difference.total_seconds():.0f} s"
