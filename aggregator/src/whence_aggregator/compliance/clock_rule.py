"""The rule about machines' clocks."""

from __future__ import annotations

from datetime import datetime, timedelta

from whence_aggregator.compliance.rule import Evidence, Verdict
from whence_common.clock import parse_instant, to_instant

CLOCK_OFF_SECONDS = 300
"""AWS refuses requests that are signed by a clock further off: five minutes."""


def clock_off(evidence: Evidence) -> Verdict:
    """Judge the machine's clock when it made its newest statement, by the times of recording and of launch.

    A statement may be delivered late, so a clock that is behind cannot be told from a delay; one that is ahead of the
    recording, or before the launch that the statement itself names, can.
    """
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


def _launched(pending_time: str) -> datetime | None:
    try:
        return parse_instant(pending_time)
    except ValueError:
        return None


def _seconds(difference: timedelta) -> str:
    return f"{difference.total_seconds():.0f} s"
