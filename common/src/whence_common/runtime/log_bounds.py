"""Limits on logging by kind of event: events that an attacker can cause must not fill the disk."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

_NAMES_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBounds:
    """Limits for the events of one kind, in total and for each address: burst, and rate per second."""

    kind_burst: float = 100.0
    kind_per_second: float = 5.0
    address_burst: float = 50.0
    address_per_second: float = 1.0
    report_seconds_min: float = 10.0
    """The shortest interval between two reports of suppressed events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppressed:
    """The number of events of a kind that were not logged, and of the addresses that caused them."""

    kind: str
    events: int
    addresses: int


class LogSampling:
    """Decides for each event whether it is logged, and counts the suppressed ones."""

    def __init__(self, bounds: LogBounds, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._kinds: dict[str, tuple[float, float]] = {}
        self._addresses: dict[str, tuple[float, float]] = {}
        self._suppressed: Counter[str] = Counter()
        self._from: dict[str, set[str]] = {}
        self._reported_at = clock()

    def passes(self, kind: str, address: str) -> bool:
        """Return whether this event is logged. An address over its own limit does not use the limit of the kind."""
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

    def take_suppressed(self, *, at_once: bool = False) -> list[Suppressed]:
        """Return the suppressed events since the last call and reset the counts; empty if the last report is recent."""
        now = self._clock()
        if not self._suppressed or (not at_once and now - self._reported_at < self._bounds.report_seconds_min):
            return []
        self._reported_at = now
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
