"""Rate limits: a bucket for each name that refills with time. What is refused is told when to come again.

Memory is bounded: a bucket that is full again is dropped, for it states nothing, and where too many are left the one
that was asked for least recently goes. So nobody resets a limit of their own but by as many other names, and whoever
fills the table gives others more, never less.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from whence_aggregator.ports import Overloaded

_NAMES_MAX = 200_000
_DROPPED_AT_ONCE_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`per_second` on the long run, `burst` at once."""

    per_second: float
    burst: float


class Limit:
    """One kind of limit, for many names."""

    def __init__(
        self,
        what: str,
        rate: Rate,
        clock: Callable[[], float] = time.monotonic,
        *,
        unit: str = "calls",
        names_max: int = _NAMES_MAX,
    ) -> None:
        self._what = what
        self._unit = unit
        self._rate = rate
        self._clock = clock
        self._names_max = names_max
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    @property
    def names_kept(self) -> int:
        return len(self._buckets)

    def change(self, rate: Rate) -> None:
        """Count by another rate from now on."""
        self._rate = rate

    def take(self, name: str, amount: float = 1.0) -> None:
        """Count one call, or an amount up to the burst. Raises Overloaded with the time after which there is room."""
        if not self.took(name, amount):
            raise self.refusal(name, amount)

    def took(self, name: str, amount: float = 1.0) -> bool:
        """Count if there is room; return whether there was."""
        now = self._clock()
        left = self._left(name, now)
        amount = amount if amount < self._rate.burst else self._rate.burst
        there_is = left >= amount
        self._keep(name, left - amount if there_is else left, now)
        return there_is

    def give_back(self, name: str) -> None:
        """Have one call that was counted not count."""
        now = self._clock()
        self._keep(name, min(self._rate.burst, self._left(name, now) + 1.0), now)

    def refusal(self, name: str, amount: float = 1.0) -> Overloaded:
        amount = min(amount, self._rate.burst)
        seconds = (amount - self._left(name, self._clock())) / self._rate.per_second
        many = "" if self._unit == "calls" else f" {self._unit}"
        message = f"too many{many} from {self._what} {name}"
        return Overloaded("rate-limited", message, retry_after_seconds=max(1.0, seconds))

    def _left(self, name: str, now: float) -> float:
        bucket = self._buckets.get(name)
        if bucket is None:
            return self._rate.burst
        left = bucket[0] + (now - bucket[1]) * self._rate.per_second
        return left if left < self._rate.burst else self._rate.burst

    def _keep(self, name: str, left: float, now: float) -> None:
        """Keep a bucket as the last one asked for. Those asked for first are the first that are full again."""
        if name in self._buckets:
            self._buckets[name] = left, now
            self._buckets.move_to_end(name)
            return
        for _ in range(_DROPPED_AT_ONCE_MAX):
            oldest = next(iter(self._buckets), None)
            if oldest is None:
                break
            if len(self._buckets) < self._names_max and self._left(oldest, now) < self._rate.burst:
                break
            del self._buckets[oldest]
        self._buckets[name] = left, now


@dataclass(frozen=True, slots=True, kw_only=True)
class ChallengeLimits:
    """How many challenges are made for a sender. One that names no key counts by its address alone.

    One that names the key it is for is refused where the address and the key are used up: so a fleet behind one NAT
    gateway is not locked out by one of it, which does not know the keys of the others. A challenge costs little, so
    naming ever other keys is worth nothing.
    """

    address: Limit
    key: Limit

    def take(self, address: str, key_id: str | None) -> None:
        """Count one. Raises Overloaded."""
        if key_id is None:
            self.address.take(address)
        elif not self.address.took(address) and not self.key.took(key_id):
            raise self.key.refusal(key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentLimits:
    """What counts against whom when a key is to be bound.

    Against an instance counts only what nobody else can do: what its bound key or its own credentials prove. Whoever
    merely has its document, which it shows to registries too, counts as an attempt: against the address that it comes
    from and against the document. An attempt is refused where both are used up, so the fleet behind one address, a load
    balancer's or a NAT gateway's, is not locked out by one of it, nor a machine by others that show its document.
    """

    instance: Limit
    account: Limit
    address_attempts: Limit
    instance_attempts: Limit
    refusals: Limit
    """Refusals of an instance that become entries of the log; the others are only answered."""

    def attempt(self, address: str, instance_id: str) -> None:
        """Count an attempt that has not proved anything yet. Raises Overloaded."""
        by_address, by_instance = self.address_attempts.took(address), self.instance_attempts.took(instance_id)
        if not by_address and not by_instance:
            raise self.instance_attempts.refusal(instance_id)

    def no_attempt(self, address: str, instance_id: str) -> None:
        """Have an attempt not count: it was proved, or whoever should judge it was away."""
        self.address_attempts.give_back(address)
        self.instance_attempts.give_back(instance_id)
