"""Fair shares of a limited resource: no name can take all of it, so some remains free for the next.

A name may hold as much as it leaves free (dynamic thresholds, Choudhury and Hahne 1998): a single name holds at most a
half, two names a third each. There is no limit to configure, and a fleet behind one address may use more than a fixed
limit per client would allow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class Shares:
    """Allocates `total` units to names. Each name of a claim may hold at most its factor times the units left free."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._held: Counter[str] = Counter()

    def claim(self, names: Mapping[str, float], amount: int = 1) -> str | None:
        """Allocate an amount; return None. If refused, return the name that holds too much, or "" if others do."""
        free = self.total - self.used - amount
        if free < 0:
            return ""
        for name, factor in names.items():
            if self._held[name] + amount > factor * free:
                return name if self._held[name] else ""
        self.used += amount
        for name in names:
            self._held[name] += amount
        return None

    def release(self, names: Mapping[str, float], amount: int = 1) -> None:
        """Release an amount that was claimed under these names."""
        self.used -= amount
        for name in names:
            self._held[name] -= amount
            if self._held[name] <= 0:
                del self._held[name]

    def held(self, name: str) -> int:
        return self._held.get(name, 0)
