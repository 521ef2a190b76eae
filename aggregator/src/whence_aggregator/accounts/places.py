"""Where the changes of a plan are made: kind and region by address, and what may be written together. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whence_aggregator.accounts.plan import PlannedChange
from whence_aggregator.accounts.resources import ResourceKind
from whence_common.errors import RoadError


def groups_of(changes: Sequence[PlannedChange], kinds: Mapping[str, ResourceKind]) -> list[list[PlannedChange]]:
    """Return changes, in order, in groups of one kind and place in which none requires another. Raises RoadError."""
    groups: list[list[PlannedChange]] = []
    place: tuple[bool, str, str | None] | None = None
    together: set[str] = set()
    for change in changes:
        kind, region, _ = place_of(change.address, kinds)
        found = change.action == "delete", kind.name, region
        if found != place or together.intersection(change.requires):
            groups.append([])
            together = set()
        groups[-1].append(change)
        together.add(change.address)
        place = found
    return groups


def place_of(address: str, kinds: Mapping[str, ResourceKind]) -> tuple[ResourceKind, str | None, str]:
    """Return kind, region and name of an address. Raises RoadError for one that has no kind or place here."""
    first, _, rest = address.partition("/")
    kind, _, name = rest.partition("/")
    if rest and first in kinds and not kinds[first].is_regional:
        return kinds[first], None, rest
    if name and kind in kinds and kinds[kind].is_regional:
        return kinds[kind], first, name
    message = f"the plan has a resource of an unknown kind or place: {address}"
    raise RoadError(
        "plan-unknown-kind", message, fix="make a new plan with this version of the program", retryable=False
    )  # fmt: skip
