"""What the rules that rest on the EC2 inventory and on silence share: the life of the instance, and times on the way.

Absence is judged only by a source that was asked after the moment in question. So each rule names the listing that it
awaits, and is unknown until that listing began. EC2 is eventually consistent, and messages take time on their way:
`EC2_LAG` and `ON_THE_WAY` are longer than either ever takes.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from whence_aggregator.compliance.rule import InstanceEvidence, Verdict
from whence_aggregator.trace.life import ENDED
from whence_common.clock import parse_instant

EC2_LAG = timedelta(seconds=120)
"""For so long a listing may lack an instance that enrolled, and show a state that has ended."""
ON_THE_WAY = timedelta(seconds=120)
"""A message that arrives later than this after it was sent was not sent by a machine that had ended by then."""
STANDING_STILL = ("stopping", "stopped", *ENDED)
"""States in which an agent is not expected to speak."""


def ended(evidence: InstanceEvidence) -> Verdict | None:
    """Return the verdict of an instance that ended, which closes whatever was open; None while it may live."""
    facts = evidence.facts
    return Verdict(outcome="gone", reason=f"subject gone: {life_of(evidence)}") if facts.life in ENDED else None


def launched(evidence: InstanceEvidence) -> datetime | None:
    """Return when EC2 launched the machine last: one that was stopped owes nothing for the time before."""
    try:
        return parse_instant(evidence.facts.listed.launched_at)
    except ValueError:
        return None


def life_of(evidence: InstanceEvidence) -> str:
    """Name the instance's life with its age."""
    facts = evidence.facts
    return f"the instance is {facts.life}" + (f" since {facts.life_since}" if facts.life_since else "")
