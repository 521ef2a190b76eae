"""How many messages a destination gets in an hour: the last one before the bound states all that is due. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from whence_common.clock import parse_instant

WINDOW = timedelta(hours=1)
SUMMARY_STEPS_MAX = 10_000
"""Steps that one summary states."""
Turn = Literal["one", "all", "none"]
"""What is sent next: one step, all that is due in a summary, or nothing for now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessages:
    """The messages that a destination has got within the last hour. `oldest`: when the first of them arrived."""

    count: int
    oldest: str


def turn(sent: SentMessages, *, bound: int | None) -> Turn:
    """Return what is sent next. Without a bound, each step is a message."""
    if bound is None or sent.count < bound - 1:
        return "one"
    return "none" if sent.count >= bound else "all"


def rest_until(sent: SentMessages, *, now: datetime, bound: int | None) -> datetime | None:
    """Return until when nothing is sent after one message more; None if another one may follow."""
    if bound is None or sent.count + 1 < bound:
        return None
    return (parse_instant(sent.oldest) if sent.oldest else now) + WINDOW
