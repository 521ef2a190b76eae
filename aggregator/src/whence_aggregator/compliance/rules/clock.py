"""The rule about machines' clocks."""

from __future__ import annotations

from datetime import timedelta

from whence_aggregator.compliance.ages import instant_or_none
from whence_aggregator.compliance.evidence import HeardAgent, SubjectEvidence
from whence_aggregator.compliance.rule import Verdict, failed, known, passed, unknown
from whence_aggregator.trace.listening import CLOCK_OFF_SECONDS
from whence_common.clock import parse_instant, to_instant

CLOCK_OFF = "clock-off"
BY_HEARTBEATS = "by its heartbeats, "
"""The prefix of reasons from heartbeats. Heartbeats append no entry, so the sweep finds these verdicts by it."""


def clock_off(evidence: SubjectEvidence) -> Verdict:
    """Judge the machine's clock by its newest statement, then by its newest heartbeats.

    A statement may be delivered late, so a clock that is behind cannot be distinguished from a delay; one that is ahead
    of the recording, or before the launch that the statement names, can.
    """
    by_statement = _by_statement(evidence)
    if by_statement.outcome == "fail":
        return by_statement
    return _by_heartbeats(known(evidence.heard, "the heartbeats")) or by_statement


def _by_statement(evidence: SubjectEvidence) -> Verdict:
    machine, off = known(evidence.machine, "a statement of the agent"), timedelta(seconds=CLOCK_OFF_SECONDS)
    observed, recorded = parse_instant(machine.observed_at), parse_instant(machine.recorded_at)
    times = f"the statement is of {machine.observed_at} and was recorded at {machine.recorded_at}"
    launched = instant_or_none(machine.launched_at) or instant_or_none(machine.proved_launch_at)
    if observed - recorded > off:
        return failed(f"the clock was {_seconds(observed - recorded)} ahead: {times}")
    if launched is not None and launched - observed > off:
        return failed(f"the clock was before the launch of the machine at {to_instant(launched)}: {times}")
    if recorded - observed > off:
        late = _seconds(recorded - observed)
        return unknown(f"the clock was behind, or the statement was delivered {late} late: {times}")
    return passed(f"the clock was right to {CLOCK_OFF_SECONDS} s")


def _by_heartbeats(heard: HeardAgent) -> Verdict | None:
    """Return the verdict by heartbeats; None when they show no skew.

    The agent sends a heartbeat at once and gives up after seconds, so it is not delivered later. A single one may still
    be delayed by the network or the aggregator. If all heartbeats over some time are late, the clock is behind or all
    are delayed, and both are worth a check.
    """
    skew = _rounded(abs(heard.skew_seconds))
    if heard.clock == "ahead":
        return failed(f"{BY_HEARTBEATS}the clock is {skew} ahead")
    if heard.clock == "behind":
        return failed(f"{BY_HEARTBEATS}the clock is {skew} behind")
    if heard.clock == "late":
        return unknown(f"{BY_HEARTBEATS}the clock is {skew} behind, or one of them was delayed")
    return None


def _rounded(seconds: float) -> str:
    """Return a skew in words that stay the same: each other reason is another entry of the log."""
    days, hours = seconds / 86_400, seconds / 3_600
    return "more than a day" if days > 1 else "more than an hour" if hours > 1 else f"more than {CLOCK_OFF_SECONDS} s"


def _seconds(difference: timedelta) -> str:
    return f"{difference.total_seconds():.0f} s"
