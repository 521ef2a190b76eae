"""How much of one kind of event is logged: events that a stranger can cause at will must not fill a disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

_NAMES_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBounds:
    """Events of one kind, over all addresses and of each address: at once, and a second on the long run."""

    kind_burst: float = 100.0
    kind_per_second: float = 5.0
    address_burst: float = 50.0
    address_per_second: float = 1.0
    told_seconds: float = 10.0
    """How often the number of suppressed events is logged, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """So many events of a kind were not logged, from so many addresses."""

    kind: str
    events: int
    addresses: int


class LogSampling:
    """Decides event by event. What is suppressed is counted, and the counts are taken with `told`."""

    def __init__(self, bounds: LogBounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._kinds: dict[str, tuple[float, float]] = {}
        self._addresses: dict[str, tuple[float, float]] = {}
        self._suppressed: Counter[str] = Counter()
        self._from: dict[str, set[str]] = {}
        self._told_at = clock()

    def passes(self, kind: str, address: str) -> bool:
        """Whether this event is logged. An address that has used up its own share uses nothing of the kind's."""
        bounds, now = self._bounds, self._clock()
        of_kind = _left(self._kinds, kind, bounds.kind_burst, bounds.kind_per_second, now)
        name = f"{kind}\n{address}"
        of_address = _left(self._addresses, name, bounds.address_burst, bounds.address_per_second, now)
        if of_kind < 1.0 or (address and of_address < 1.0):
            self._suppressed[kind] += 1
            seen = self._from.setdefault(kind, set())
            if address and len(seen) < _NAMES_MAX:
                seen.add(address)
            return False
        self._kinds[kind] = of_kind - 1.0, now
        if address:
            self._addresses[name] = of_address - 1.0, now
        return True

    def told(self, *, at_once: bool = False) -> list[Suppressed]:
        """Return what was suppressed since the last time, and forget it; nothing while the last time is recent."""
        now = self._clock()
        if not self._suppressed or (not at_once and now - self._told_at < self._bounds.told_seconds):
            return []
        self._told_at = now
        found = [
            Suppressed(kind=kind, events=events, addresses=len(self._from.get(kind, ())))
            for kind, events in sorted(self._suppressed.items())
        ]
        self._suppressed.clear()
        self._from.clear()
        return found


def _left(buckets: dict[str, tuple[float, float]], name: str, burst: float, per_second: float, now: float) -> float:
    if len(buckets) >= _NAMES_MAX and name not in buckets:
        buckets.clear()
    left, then = buckets.get(name, (burst, now))
    return min(burst, left + (now - then) * per_second)
