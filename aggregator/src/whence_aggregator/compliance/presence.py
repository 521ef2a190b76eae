"""The rules that rest on the EC2 inventory and on silence: is the machine that states things there, and does it speak?

Absence is judged only by a source that was asked after the moment in question. So each rule names the listing that it
awaits, and is unknown until that listing began. EC2 is eventually consistent, and messages take time on their way:
`EC2_LAG` and `ON_THE_WAY` are longer than either ever takes.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from whence_aggregator.compliance.rule import NOT_COLLECTED, InstanceEvidence, Verdict
from whence_aggregator.trace.life import ENDED, GONE
from whence_common.clock import parse_instant, to_instant
from whence_common.heartbeat import HEARTBEATS

EC2_LAG = timedelta(seconds=120)
"""For so long a listing may lack an instance that enrolled, and show a state that has ended."""
ON_THE_WAY = timedelta(seconds=120)
"""A message that arrives later than this after it was sent was not sent by a machine that had ended by then."""
STANDING_STILL = ("stopping", "stopped", *ENDED)
"""States in which an agent is not expected to speak."""


def ended(evidence: InstanceEvidence) -> Verdict | None:
    """Return the verdict of an instance that ended, which closes whatever was open; None while it may live."""
    facts = evidence.facts
    return Verdict(outcome="gone", reason=f"subject gone: {_life(evidence)}") if facts.life in ENDED else None


AGENT_SILENT, INSTANCE_UNLISTED, USER_DATA_CHANGED = "agent-silent", "instance-unlisted", "user-data-changed"


def agent_silent(evidence: InstanceEvidence) -> Verdict:
    """Judge silence: it is a failure only when a listing shows that the machine ran after it began."""
    facts = evidence.facts
    if facts.life in STANDING_STILL:
        return Verdict(outcome="gone", reason=f"subject gone: {_life(evidence)}")
    if facts.last_seen is None:
        return Verdict(outcome="unknown", reason="the agent was never seen")
    seen = parse_instant(facts.last_seen)
    owed = max(seen, evidence.listening_since, _launched(evidence) or seen)
    due = owed + max(timedelta(seconds=evidence.silent_after_seconds), EC2_LAG)
    if seen + timedelta(seconds=evidence.silent_after_seconds) >= evidence.now:
        return Verdict(outcome="pass", reason="the agent speaks")
    silent = f"silent since {facts.last_seen}"
    if due >= evidence.now:
        since = to_instant(owed)
        why = f"was launched at {since}" if owed == _launched(evidence) else f"is listened to only since {since}"
        return Verdict(outcome="unknown", reason=f"{silent}; it {why}")
    if not facts.listed.listed_at:
        return Verdict(outcome="unknown", reason=f"{silent}; {NOT_COLLECTED.reason}")
    if facts.life == "running" and facts.statement.predicate.heartbeats < HEARTBEATS:
        upgrade = "its agent sends heartbeats without a counter, which are not taken: upgrade the agent"
        return Verdict(outcome="unknown", reason=f"{silent}; {upgrade}")
    if facts.life == "running" and parse_instant(facts.listed.listed_at) > due:
        return Verdict(outcome="fail", reason=f"{silent}, and running in the listing of {facts.listed.listed_at}")
    awaited = f"a listing after {to_instant(due)} is awaited, the last one was at {facts.listed.listed_at}"
    return Verdict(outcome="unknown", reason=f"{silent}; {_life(evidence)}, and {awaited}")


def _launched(evidence: InstanceEvidence) -> datetime | None:
    """Return when EC2 launched the machine last: one that was stopped owes nothing for the time before."""
    try:
        return parse_instant(evidence.facts.listed.launched_at)
    except ValueError:
        return None


def instance_unlisted(evidence: InstanceEvidence) -> Verdict:
    """Judge a machine that AWS does not list, or lists as terminated, and that speaks nevertheless."""
    listed = evidence.facts.listed
    if not listed.listed_at:
        return NOT_COLLECTED
    if listed.state not in ("", "terminated", GONE):
        return Verdict(outcome="pass", reason=f"the EC2 API lists the instance as {listed.state}")
    if not listed.state:
        reason = f"not listed yet: {EC2_LAG.total_seconds():.0f} s after its enrolment a listing settles it"
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


def user_data_changed(evidence: InstanceEvidence) -> Verdict:
    """Compare the user data of agent and EC2 API, where both are of the same launch."""
    listed, predicate = evidence.facts.listed, evidence.facts.statement.predicate
    if not listed.listed_at:
        return NOT_COLLECTED
    if listed.user_data_unread:
        return Verdict(outcome="unknown", reason=f"the EC2 API's user data was not read: {listed.user_data_unread}")
    seen = predicate.user_data
    if seen is None or not listed.user_data_digest:
        return Verdict(outcome="unknown", reason="only one of agent and EC2 API has user data to compare")
    if listed.user_data_digest == seen.digest:
        return Verdict(outcome="pass", reason="agent and EC2 API have the same user data")
    if evidence.facts.data_of_next_start:
        reason = f"the instance is {listed.state}: the EC2 API's user data may be that of its next start"
        return Verdict(outcome="unknown", reason=reason)
    if not evidence.facts.same_launch:
        reason = f"the listing is of the launch at {listed.launched_at}, the statement of another one"
        return Verdict(outcome="unknown", reason=reason)
    reason = f"the EC2 API has other user data than the agent has seen: {evidence.facts.difference}"
    return Verdict(outcome="fail", reason=reason)


def _life(evidence: InstanceEvidence) -> str:
    """Name the instance's life with its age."""
    facts = evidence.facts
    return f"the instance is {facts.life}" + (f" since {facts.life_since}" if facts.life_since else "")
