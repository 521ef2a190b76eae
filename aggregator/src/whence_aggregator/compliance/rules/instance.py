"""The rule about instances that the EC2 inventory does not list."""

from __future__ import annotations

from datetime import datetime

from whence_aggregator.compliance.presence import EC2_LAG, ON_THE_WAY
from whence_aggregator.compliance.rule import NOT_COLLECTED, InstanceEvidence, Verdict
from whence_aggregator.trace.life import GONE
from whence_common.clock import parse_instant

INSTANCE_UNLISTED = "instance-unlisted"


def instance_unlisted(evidence: InstanceEvidence) -> Verdict:
    """Judge a machine that is heard although AWS does not list it, or lists it as terminated."""
    listed = evidence.facts.listed
    if not listed.listed_at:
        return NOT_COLLECTED
    if listed.state not in ("", "terminated", GONE):
        return Verdict(outcome="pass", reason=f"the EC2 API lists the instance as {listed.state}")
    if not listed.state:
        reason = f"not listed yet: a listing later than {EC2_LAG.total_seconds():.0f} s after its enrolment is awaited"
        return Verdict(outcome="unknown", reason=f"{reason}, the last one was at {listed.listed_at}")
    state = "no longer listed" if listed.state == GONE else "terminated"
    heard = _heard_after(evidence, parse_instant(listed.asked_at))
    if heard and parse_instant(listed.listed_at) <= parse_instant(listed.asked_at) + ON_THE_WAY:
        reason = f"{state} in the listing of {listed.asked_at}, and heard at {evidence.facts.last_seen}"
        return Verdict(outcome="unknown", reason=f"{reason}; a second listing is awaited")
    if heard:
        reason = (
            f"{state} in the EC2 API since the listing of {listed.asked_at}, and heard at {evidence.facts.last_seen}"
        )
        return Verdict(outcome="fail", reason=reason)
    return Verdict(outcome="pass", reason=f"{state} in the EC2 API, and not heard since")


def _heard_after(evidence: InstanceEvidence, moment: datetime) -> bool:
    seen = evidence.facts.last_seen
    return seen is not None and parse_instant(seen) > moment + ON_THE_WAY
