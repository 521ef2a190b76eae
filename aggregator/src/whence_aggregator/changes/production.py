"""Replays statements and lives, and returns each change of what runs in a place. Pure.

A place is an application in an account and region. What runs there is a set: a version that a second instance starts is
no change, and one whose last instance ends is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

_RUNS = ("boot", "change")
"""Causes of statements of instances on which something runs."""
_ENDS = ("stopping", "stopped", "shutting-down", "terminated")
"""Lives of instances on which nothing runs any more."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ProductionPlace:
    """Where an application runs."""

    application_id: str
    account_id: str
    region: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Deployed:
    """What runs on an instance: version, image and user data by digest. Text that is not there is empty."""

    version: str
    image: str
    user_data: str

    def to_wire(self) -> dict[str, str | None]:
        return {"version": self.version or None, "image": self.image or None, "user_data": self.user_data or None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Occupant:
    """An instance with its newest statement and its life. `since` is the entry of that statement."""

    instance: int
    instance_id: str
    order: tuple[int, int]
    """Binding and sequence of the statement: the highest is the newest, whatever arrives later."""
    place: ProductionPlace
    deployed: Deployed
    cause: str
    since: int
    life: str = "unknown"

    @property
    def runs(self) -> bool:
        return self.cause in _RUNS and self.life not in _ENDS and bool(self.deployed.image)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductionStatement:
    """A statement, and the life of its instance then; it counts if the instance stated nothing before."""

    ledger_index: int
    recorded_at: str
    observed_at: str
    occupant: Occupant


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductionLife:
    """A change of an instance's life."""

    ledger_index: int
    recorded_at: str
    instance: int
    life: str


Step = ProductionStatement | ProductionLife


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductionChange:
    """That what runs in a place changed, by the entry of an instance."""

    place: ProductionPlace
    ledger_index: int
    recorded_at: str
    observed_at: str | None
    """By the machine's clock; None if no statement is the cause."""
    instance_id: str
    cause: str
    """The cause of the statement, or the new life of the instance."""
    before: tuple[Deployed, ...]
    after: tuple[Deployed, ...]
    replaced: Deployed | None
    """Of what ran before, what an instance stated last; None if nothing ran."""

    @property
    def started(self) -> tuple[Deployed, ...]:
        return tuple(one for one in self.after if one not in self.before)

    @property
    def ended(self) -> tuple[Deployed, ...]:
        return tuple(one for one in self.before if one not in self.after)


class Production:
    """What runs, and how each step changes it."""

    def __init__(self, occupants: Iterable[Occupant]) -> None:
        self._occupants: dict[int, Occupant] = {}
        self._running: dict[ProductionPlace, Counter[Deployed]] = defaultdict(Counter)
        self._by_place: dict[ProductionPlace, set[int]] = defaultdict(set)
        for one in occupants:
            self._put(one)

    def apply(self, steps: Sequence[Step]) -> list[ProductionChange]:
        """Take the steps of one entry; return the changes, by place."""
        changed: dict[int, Occupant] = {}
        for step in steps:
            instance = step.occupant.instance if isinstance(step, ProductionStatement) else step.instance
            known = changed.get(instance) or self._occupants.get(instance)
            if (next_one := _next(known, step)) is not None:
                changed[instance] = next_one
        places = {one.place for one in changed.values()}
        places |= {self._occupants[one].place for one in changed if one in self._occupants}
        before = {place: self._there(place) for place in sorted(places)}
        replaced = {place: self._stated_last(place) for place in places}
        for one in changed.values():
            self._put(one)
        return [
            _change(place, steps, changed, was, self._there(place), replaced[place])
            for place, was in before.items()
            if was != self._there(place)
        ]

    def _put(self, one: Occupant) -> None:
        old = self._occupants.get(one.instance)
        if old is not None:
            self._by_place[old.place].discard(old.instance)
            if old.runs:
                self._running[old.place][old.deployed] -= 1
        self._occupants[one.instance] = one
        self._by_place[one.place].add(one.instance)
        if one.runs:
            self._running[one.place][one.deployed] += 1

    def _there(self, place: ProductionPlace) -> tuple[Deployed, ...]:
        return tuple(sorted(one for one, instances in self._running[place].items() if instances > 0))

    def _stated_last(self, place: ProductionPlace) -> Deployed | None:
        there = [one for one in map(self._occupants.__getitem__, self._by_place[place]) if one.runs]
        return max(there, key=lambda one: one.since).deployed if there else None


def _next(known: Occupant | None, step: Step) -> Occupant | None:
    """Return the occupant after a step; None if the step changes nothing: it is of an older statement, or unknown."""
    if isinstance(step, ProductionLife):
        return replace(known, life=step.life) if known is not None else None
    if known is None:
        return step.occupant
    return replace(step.occupant, life=known.life) if step.occupant.order > known.order else None


def _change(
    place: ProductionPlace,
    steps: Sequence[Step],
    changed: dict[int, Occupant],
    before: tuple[Deployed, ...],
    after: tuple[Deployed, ...],
    replaced: Deployed | None,
) -> ProductionChange:
    stated = next((one for one in steps if isinstance(one, ProductionStatement)), None)
    lived = next((one for one in steps if isinstance(one, ProductionLife)), None)
    return ProductionChange(
        place=place,
        ledger_index=steps[0].ledger_index,
        recorded_at=steps[0].recorded_at,
        observed_at=stated.observed_at if stated is not None else None,
        instance_id=next(iter(changed.values())).instance_id,
        cause=stated.occupant.cause if stated is not None else lived.life if lived is not None else "",
        before=before,
        after=after,
        replaced=replaced,
    )
