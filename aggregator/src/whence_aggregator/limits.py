"""Rate limits: a bucket for each name that refills with time. What is refused is told when to come again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from whence_aggregator.ports import Overloaded

_NAMES_MAX = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`per_second` on the long run, `burst` at once."""

    per_second: float
    burst: float


class Limit:
    """One kind of limit, for many names."""

    def __init__(
        self, what: str, rate: Rate, clock: Callable[[], float] = time.monotonic, *, unit: str = "calls"
    ) -> None:
        self._what = what
        self._unit = unit
        self._rate = rate
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def change(self, rate: Rate) -> None:
        """Count by another rate from now on."""
        self._rate = rate

    def take(self, name: str, amount: float = 1.0) -> None:
        """Count one call, or an amount up to the burst. Raises Overloaded with the time after which there is room."""
        now = self._clock()
        left, then = self._buckets.get(name, (self._rate.burst, now))
        left = min(self._rate.burst, left + (now - then) * self._rate.per_second)
        amount = min(amount, self._rate.burst)
        if left < amount:
            seconds = (amount - left) / self._rate.per_second
            many = "" if self._unit == "calls" else f" {self._unit}"
            raise Overloaded(
                "rate-limited", f"too many{many} from {self._what} {name}", retry_after_seconds=max(1.0, seconds)
            )
        if len(self._buckets) >= _NAMES_MAX:
            self._buckets.clear()
        self._buckets[name] = left - amount, now
