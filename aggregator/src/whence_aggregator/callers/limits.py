"""Rate limits by token buckets, one bucket per name. A refusal states when to try again.

Memory is bounded: full buckets are dropped, because they hold no state; if the table is still full, the least recently
used bucket is dropped. A client can therefore reset its own limit only by using as many other names as the table holds,
and an attacker who fills the table can only raise the limits of others, not lower them.
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
    """`per_second` is the sustained rate, `burst` the capacity of a bucket."""

    per_second: float
    burst: float


class Limit:
    """A rate limit that counts each name separately."""

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
        """Replace the rate; the state of the buckets remains."""
        self._rate = rate

    def take(self, name: str, amount: float = 1.0) -> None:
        """Count one call, or an amount of at most the burst. Raises Overloaded with the time to wait."""
        if not self.took(name, amount):
            raise self.refusal(name, amount)

    def took(self, name: str, amount: float = 1.0) -> bool:
        """Count an amount if the limit allows it; return whether it does."""
        now = self._clock()
        left = self._left(name, now)
        amount = amount if amount < self._rate.burst else self._rate.burst
        there_is = left >= amount
        self._keep(name, left - amount if there_is else left, now)
        return there_is

    def check(self, name: str) -> None:
        """Raise Overloaded while a name has used up more than it may. Counts nothing."""
        if self._left(name, self._clock()) < 0.0:
            raise self.refusal(name, 0.0)

    def charge(self, name: str, amount: float) -> None:
        """Count an amount that was used already, however large: later calls wait until it is paid off."""
        now = self._clock()
        self._keep(name, self._left(name, now) - amount, now)

    def give_back(self, name: str) -> None:
        """Undo the count of one call."""
        now = self._clock()
        self._keep(name, min(self._rate.burst, self._left(name, now) + 1.0), now)

    def refusal(self, name: str, amount: float = 1.0) -> Overloaded:
        amount = min(amount, self._rate.burst)
        seconds = (amount - self._left(name, self._clock())) / self._rate.per_second
        message = f"too many {self._unit} from {self._what} {name}"
        return Overloaded("rate-limited", message, retry_after_seconds=max(1.0, seconds))

    def _left(self, name: str, now: float) -> float:
        bucket = self._buckets.get(name)
        if bucket is None:
            return self._rate.burst
        left = bucket[0] + (now - bucket[1]) * self._rate.per_second
        return left if left < self._rate.burst else self._rate.burst

    def _keep(self, name: str, left: float, now: float) -> None:
        """Store a bucket as the most recently used. The least recently used buckets are the first to be full again."""
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
    """Limits requests for challenges. A request without a key id counts by its address only.

    A request with a key id is refused only if the limits of both the address and the key are exhausted. An instance can
    therefore not lock out the others behind the same NAT gateway, whose keys it does not know. A challenge costs
    little, so an attacker gains nothing by inventing keys.
    """

    address: Limit
    key: Limit

    def take(self, address: str, key_id: str | None) -> None:
        """Count one request. Raises Overloaded."""
        if key_id is None:
            self.address.take(address)
        elif not self.address.took(address) and not self.key.took(key_id):
            raise self.key.refusal(key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentLimits:
    """The limits of enrolment, which binds a key to an instance.

    The limits of instance and account count only requests that the bound key or the instance's own credentials prove.
    An identity document alone proves no origin, because the instance sends it to registries too: a request with nothing
    else counts as an attempt, by its address and by the instance of its document. An attempt is refused only if both
    limits are exhausted. An instance can therefore not lock out the others behind the same load balancer or NAT
    gateway, and other senders of a document cannot lock out its instance.
    """

    instance: Limit
    account: Limit
    address_attempts: Limit
    instance_attempts: Limit
    refusals: Limit
    """Refusals per instance that are recorded in the log; further ones are only returned to the caller."""

    def attempt(self, address: str, instance_id: str) -> None:
        """Count an attempt that is not proved yet. Raises Overloaded."""
        by_address, by_instance = self.address_attempts.took(address), self.instance_attempts.took(instance_id)
        if not by_address and not by_instance:
            raise self.instance_attempts.refusal(instance_id)

    def no_attempt(self, address: str, instance_id: str) -> None:
        """Undo the count of an attempt that was proved, or not checked because a service was unavailable."""
        self.address_attempts.give_back(address)
        self.instance_attempts.give_back(instance_id)
