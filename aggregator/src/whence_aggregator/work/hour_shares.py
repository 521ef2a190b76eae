"""What each team may ask of an outside host in an hour, so that none uses up what the host allows for all. Pure.

Lanes stand for teams. A lane has an equal share among those that asked in this hour or the one before; one that is
alone has half, so that the next one finds something. Kept in memory, by each process for itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from whence_common.clock import Now

HOUR_SECONDS = 3_600.0
_BETWEEN_SECONDS = 0.01
"""Between the next attempts of what waits, so that it keeps its order, and comes before what is due later."""
_SPREAD_SECONDS_MAX = 60.0
_LANES_MIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The answer to a lane that would ask: how much of its share is left, or how long it waits."""

    left: int
    share: int
    wait_seconds: float = 0.0
    """0: it may ask now."""


@dataclass(slots=True)
class _Hour:
    number: int
    asked: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    before: frozenset[str] = frozenset()
    """The lanes of the hour before."""


class HourShares:
    """Counts questions by host and lane. `hour_max`: the most that all lanes together ask of a host in an hour."""

    def __init__(self, hour_max: Mapping[str, int], now: Now) -> None:
        self._hour_max = hour_max
        self._now = now
        self._hours: dict[str, _Hour] = {}

    def take(self, host: str, lane: str) -> Share | None:
        """Count a question, unless it has to wait; None for hosts without a limit."""
        most = self._hour_max.get(host)
        if most is None:
            return None
        now = self._now()
        hour = self._hour(host, now)
        asked = hour.asked.setdefault(lane, 0)
        share = max(most // max(_LANES_MIN, len(hour.asked.keys() | hour.before)), 1)
        if asked >= share or sum(hour.asked.values()) >= most:
            later = min(hour.waiting * _BETWEEN_SECONDS, _SPREAD_SECONDS_MAX)
            hour.waiting += 1
            rest = HOUR_SECONDS - now.timestamp() % HOUR_SECONDS
            return Share(left=0, share=share, wait_seconds=rest + later)
        hour.asked[lane] = asked + 1
        return Share(left=share - asked - 1, share=share)

    def _hour(self, host: str, now: datetime) -> _Hour:
        number = int(now.timestamp() // HOUR_SECONDS)
        found = self._hours.get(host)
        if found is None or found.number != number:
            before = frozenset(found.asked) if found is not None and found.number == number - 1 else frozenset[str]()
            found = self._hours[host] = _Hour(number=number, before=before)
        return found
