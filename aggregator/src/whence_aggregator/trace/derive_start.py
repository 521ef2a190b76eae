"""Who started an instance, when, and by which event. Pure.

CloudTrail is one source: what it states is `asserted`. Its events arrive minutes late, and may be missed: then it is
unknown, with the reason, and never who started it before.
"""

from __future__ import annotations

from datetime import timedelta

from whence_aggregator.trace.behind import who_is_behind
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.lineage import Evidence, StartedBy
from whence_common.clock import parse_instant

OTHER_LAUNCH = timedelta(minutes=10)
"""EC2's launch time is seconds after the call that starts an instance; more are another launch."""


def started_by(facts: Facts) -> StartedBy:
    """Return who started the instance, as far as the events that are recorded state it."""
    event = facts.start
    if event is None:
        return StartedBy(state="unknown", reason="no recorded event of CloudTrail names a start of this instance")
    launched_at = facts.listed.launched_at
    if launched_at and abs(parse_instant(launched_at) - parse_instant(event.at)) > OTHER_LAUNCH:
        reason = f"EC2 lists a launch at {launched_at}; the newest recorded start is {event.name} at {event.at}"
        return StartedBy(state="unknown", reason=reason)
    behind = who_is_behind(event.doer, event.at, event.sessions)
    value = {
        "event": event.name,
        "event_id": event.event_id,
        "at": event.at,
        "region": event.region,
        "by": dict(event.doer),
        "person": behind.to_wire(),
        "recorded_later": event.later,
    }
    places = [(event.at, event.ledger_index), *((one.at, one.ledger_index) for one in behind.evidence)]
    evidence = [Evidence(source="cloudtrail", observed_at=at, ledger_index=index) for at, index in places]
    return StartedBy(state="asserted", value=value, evidence=tuple(evidence))
