"""What a search finds, by kind: each thing with its page, and whether there is more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FoundKind = Literal[
    "instances", "images", "commits", "tickets", "versions", "applications", "teams", "people", "accounts", "amis",
    "rules", "violations", "evidence", "user-data",
]  # fmt: skip
KIND_NAMES: dict[FoundKind, str] = {
    "instances": "Instances", "images": "Images", "commits": "Commits", "tickets": "Tickets", "versions": "Versions",
    "applications": "Applications", "teams": "Teams", "people": "People", "accounts": "Accounts", "amis": "AMIs",
    "rules": "Rules", "violations": "Violations", "evidence": "Entries of the ledger", "user-data": "User data",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundThing:
    """One thing. `path` is that of its page, already quoted; `exact` if the query is its key, not a part of a name."""

    name: str
    path: str
    note: str = ""
    exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGroup:
    """Things of one kind. `next` is where the list goes on; empty at its end."""

    kind: FoundKind
    things: Sequence[FoundThing]
    next: str = ""
    total: int | None = None
    """How many there are; None if it is not counted because there is more."""
    is_cut: bool = False
    """Whether there is more that no page lists: a longer text finds it."""

    @property
    def title(self) -> str:
        return KIND_NAMES[self.kind]

    @property
    def count(self) -> str:
        if self.total is not None:
            return f"{self.total:,}"
        return f"more than {len(self.things):,}" if self.next or self.is_cut else f"{len(self.things):,}"


def merged(groups: Sequence[FoundGroup]) -> list[FoundGroup]:
    """Return one group for each kind, in the order of KIND_NAMES; a thing that was found twice is there once."""
    found: list[FoundGroup] = []
    for kind in KIND_NAMES:
        of_kind = [one for one in groups if one.kind == kind]
        things: dict[str, FoundThing] = {}
        for one in of_kind:
            for thing in one.things:
                known = things.get(thing.path)
                if known is None or (thing.exact and not known.exact):
                    things[thing.path] = thing
        if things:
            following = next((one.next for one in of_kind if one.next), "")
            totals = [one.total for one in of_kind if one.total is not None]
            is_cut = any(one.is_cut for one in of_kind)
            total = None if is_cut or (following and not totals) else max([len(things), *totals])
            ordered = sorted(things.values(), key=lambda thing: not thing.exact)
            found.append(FoundGroup(kind=kind, things=ordered, next=following, total=total, is_cut=is_cut))
    return found


def only_one(groups: Sequence[FoundGroup]) -> FoundThing | None:
    """Return the thing that a query means: the only one whose key it is, else the only one that was found."""
    things = [thing for one in groups for thing in one.things]
    exact = [thing for thing in things if thing.exact]
    if len(exact) == 1:
        return exact[0]
    if len(things) == 1 and not exact and not any(one.next for one in groups):
        return things[0]
    return None
