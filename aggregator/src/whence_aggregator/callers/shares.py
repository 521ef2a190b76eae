"""Shares of what there is only so much of: nobody takes all of it, and whoever comes next finds some of it free.

A name may hold as much as it leaves free (dynamic thresholds, Choudhury and Hahne 1998): one alone gets a half, two at
once a third each. So there is no number to set, and a fleet behind one address is not held to one client's share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


class Shares:
    """`total` of something, held under names. A claim's names each have a factor of what is free that they may hold."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._held: Counter[str] = Counter()

    def claim(self, names: Mapping[str, float], amount: int = 1) -> str | None:
        """Take an amount. Return None, or what stands against it: a name that holds too much, or "" when others do."""
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
        """Return what was claimed under these names."""
        self.used -= amount
        for name in names:
            self._held[name] -= amount
            if self._held[name] <= 0:
                del self._held[name]

    def held(self, name: str) -> int:
        return self._held.get(name, 0)
