"""Steps: the parts of an account's configuration, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.found import FoundAccount, StatedSection
from whence_aggregator.accounts.resources import ResourceKind, WantedResource


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStep:
    """A step. `wanted` is pure: it returns what the configuration of one account states, in any order.

    `wanted` raises InputError for values that contradict each other; the message begins with the key's path.
    """

    name: str
    summary: str
    """One line for people: what the step configures."""
    kinds: tuple[ResourceKind, ...]
    wanted: Callable[[ConfiguredAccount], Sequence[WantedResource]]
    stated: Callable[[FoundAccount], StatedSection] | None = None
    """Returns what a configuration states of what was found: the inverse of `wanted`, for `import`. Pure.

    It names what it leaves out. None: nothing of this step is found.
    """
    is_for_whence: bool = False
    """Whence itself needs it in every account; `bootstrap` applies these steps only."""
