"""Shared by the rules about the EC2 inventory and silence: the life of the instance, and upper bounds of delays.

Absence is judged only by a source that was read after the moment in question. So each rule states the listing that it
awaits, and is unknown until that listing begins. EC2 is eventually consistent, and messages are delayed: `EC2_LAG` and
`ON_THE_WAY` are longer than these delays.
"""

from __future__ import annotations

from datetime import timedelta

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Verdict
from whence_aggregator.trace.life import ENDED

EC2_LAG = timedelta(seconds=120)
"""How long a listing may lack an enrolled instance, or show its previous state."""
ON_THE_WAY = timedelta(seconds=120)
"""The longest delay of a message: one that arrives later than this after a machine's end was sent after that end."""
UNREAD_AFTER_FAILURES = 3
"""Failed listings in succession until what rests on the inventory is unknown; a denial counts as all of them.

One throttled request does not change the verdicts of a whole account back and forth. The query `lives_of` has it too.
"""
STANDING_STILL = ("stopping", "stopped", *ENDED)
"""States in which an agent is not expected to speak."""


def ended(evidence: SubjectEvidence) -> Verdict | None:
    """Return the verdict for an ended instance, which closes open violations; None while it may live."""
    if evidence.life not in ENDED:
        return None
    return Verdict(outcome="gone", reason=f"subject gone: {life_of(evidence)}")


def life_of(evidence: SubjectEvidence) -> str:
    """Return the instance's life, and since when, as text."""
    return f"the instance is {evidence.life}" + (f" since {evidence.life_since}" if evidence.life_since else "")
