"""The rules in force now: a reload replaces them while the program runs."""

from __future__ import annotations

from typing import Protocol

from whence_aggregator.compliance.rules.catalogue import RulesInForce


class CurrentRules(Protocol):
    """Rules that may be replaced: each answer reads `current` once, so that it is by one set of rules."""

    @property
    def current(self) -> RulesInForce: ...


class LiveRules:
    """The rules of a running program."""

    def __init__(self, rules: RulesInForce) -> None:
        self._current = rules

    @property
    def current(self) -> RulesInForce:
        return self._current

    def replace(self, rules: RulesInForce) -> None:
        self._current = rules


CATALOGUE = RulesInForce.of()
"""The rules of this program, without those of users."""
