"""The rules about instances: whether the EC2 inventory lists them, and for how long they run."""

from __future__ import annotations

from datetime import datetime

from whence_aggregator.compliance.ages import older_than
from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.presence import EC2_LAG, ON_THE_WAY
from whence_aggregator.compliance.rule import NOT_COLLECTED, Verdict, failed, inventory_of, known, passed, unknown
from whence_aggregator.trace.life import GONE
from whence_common.clock import parse_instant

INSTANCE_UNLISTED, INSTANCE_TOO_OLD = "instance-unlisted", "instance-too-old"


def instance_unlisted(evidence: SubjectEvidence) -> Verdict:
    """Judge a machine that is heard although AWS does not list it, or lists it as terminated."""
    listed, seen = inventory_of(evidence), known(evidence.heard, "the heartbeats").last_seen
    if not listed.listed_at:
        return NOT_COLLECTED
    if listed.state not in ("", "terminated", GONE):
        return passed(f"the EC2 API lists the instance as {listed.state}")
    if not listed.state:
        reason = f"not listed yet: a listing later than {EC2_LAG.total_seconds():.0f} s after its enrolment is awaited"
        return unknown(f"{reason}, the last one was at {listed.listed_at}")
    state = "no longer listed" if listed.state == GONE else "terminated"
    heard = _heard_after(seen, parse_instant(listed.asked_at))
    if heard and parse_instant(listed.listed_at) <= parse_instant(listed.asked_at) + ON_THE_WAY:
        reason = f"{state} in the listing of {listed.asked_at}, and heard at {seen}"
        return unknown(f"{reason}; a second listing is awaited")
    if heard:
        return failed(f"{state} in the EC2 API since the listing of {listed.asked_at}, and heard at {seen}")
    return passed(f"{state} in the EC2 API, and not heard since")


def _heard_after(seen: str, moment: datetime) -> bool:
    return bool(seen) and parse_instant(seen) > moment + ON_THE_WAY


def instance_too_old(evidence: SubjectEvidence) -> Verdict:
    days = known(evidence.settings.instance_days_max, "the setting rules.instance_days_max")
    listed = inventory_of(evidence)
    if not listed.launched_at:
        return NOT_COLLECTED if not listed.listed_at else unknown("the EC2 API states no time of launch")
    old = older_than(listed.launched_at, days, evidence.now)
    if old is None:
        return unknown(f"the time of launch is malformed: {listed.launched_at[:40]!r}")
    if old:
        return failed(f"the instance was launched at {listed.launched_at}, more than {days} days ago")
    return passed(f"the instance was launched at {listed.launched_at}")
