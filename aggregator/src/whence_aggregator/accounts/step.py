"""Steps: the parts of an account's configuration, as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource


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
    stated: Callable[[Sequence[StandingResource]], Mapping[str, Json]] | None = None
    """Returns the section of a configuration that states what stands: the inverse of `wanted`, for `import`. Pure.

    None: what stands of this step is not imported.
    """
    not_stated: str = ""
    """What `stated` leaves out of the step, in words, for the one who imports."""
    is_for_whence: bool = False
    """Whence itself needs it in every account; `bootstrap` applies these steps only."""
