"""Steps: the parts of an account's configuration, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whence_aggregator.accounts.account import Account
from whence_aggregator.accounts.resources import Kind, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step. `wanted` is pure: it returns what the configuration of one account states, in any order.

    `wanted` raises InputError for values that contradict each other; the message begins with the key's path.
    """

    name: str
    summary: str
    """One line for people: what the step configures."""
    kinds: tuple[Kind, ...]
    wanted: Callable[[Account], Sequence[Wanted]]
    is_for_whence: bool = False
    """Whence itself needs it in every account; `bootstrap` applies these steps only."""
