"""Counts of verdicts, and their sums by team, account, rule and day. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from whence_aggregator.projections.verdict_counts import OF_SUBJECT


class Counts(NamedTuple):
    """How many verdicts, or subjects, there are. `folded`: under a broken link that has a verdict of its own."""

    passed: int = 0
    failed: int = 0
    unknown: int = 0
    folded: int = 0

    @property
    def total(self) -> int:
        return sum(self)

    def plus(self, other: Counts, sign: int = 1) -> Counts:
        return Counts(*(one + sign * another for one, another in zip(self, other, strict=True)))

    def to_wire(self) -> dict[str, int]:
        return {
            "pass": self.passed, "fail": self.failed, "unknown": self.unknown, "folded": self.folded,
            "total": self.total,
        }  # fmt: skip


NONE = Counts()


class CountKey(NamedTuple):
    """What is counted: subjects of a kind in an account, of an application, by a rule; no rule: the subjects."""

    account_id: str
    application_id: str
    kind: str
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCounts:
    """Counts of a group by its name: those of one kind of subject."""

    name: str
    kind: str
    of_subjects: bool
    counts: Counts


@dataclass(slots=True, kw_only=True)
class CountedGroup:
    """A row of a summary: its verdicts, and by kind its subjects, each with the worst of its verdicts."""

    verdicts: Counts = NONE
    subjects: dict[str, Counts] = field(default_factory=dict)

    def add(self, one: NamedCounts) -> None:
        if one.of_subjects:
            self.subjects[one.kind] = self.subjects.get(one.kind, NONE).plus(one.counts)
        else:
            self.verdicts = self.verdicts.plus(one.counts)

    def to_wire(self) -> dict[str, object]:
        subjects = {kind: one.to_wire() for kind, one in sorted(self.subjects.items()) if one.total}
        return {"verdicts": self.verdicts.to_wire(), "subjects": subjects}


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfCount:
    """A count as a snapshot states it; it holds until the next day that states it."""

    key: CountKey
    day: str
    ledger_index: int
    counts: Counts


def grouped(
    rows: Iterable[NamedCounts], name_of: Callable[[str], str | None]
) -> tuple[dict[str | None, CountedGroup], CountedGroup]:
    """Return the groups by the names that `name_of` makes of theirs, without empty ones; and all together."""
    found: dict[str | None, CountedGroup] = {}
    everything = CountedGroup()
    for one in rows:
        if one.counts.total:
            everything.add(one)
            name = name_of(one.name)
            if name is not None or one.name != OF_SUBJECT:
                found.setdefault(name, CountedGroup()).add(one)
    return found, everything


def standing_at(rows: Iterable[DayOfCount], day: str) -> dict[CountKey, Counts]:
    """Return the counts that held on a day; rows are in the order of their days."""
    found: dict[CountKey, Counts] = {}
    for one in rows:
        if one.day <= day:
            found[one.key] = one.counts
    return found


def by_day(rows: Iterable[DayOfCount], days: Sequence[str]) -> Iterator[tuple[str, Counts]]:
    """Yield the sum of verdicts on each day, from rows in the order of keys and days."""
    changes: dict[str, Counts] = {}
    before: dict[CountKey, Counts] = {}
    for one in rows:
        if one.key.rule != OF_SUBJECT:
            changes[one.day] = changes.get(one.day, NONE).plus(one.counts).plus(before.get(one.key, NONE), -1)
            before[one.key] = one.counts
    total, waiting = NONE, sorted(changes)
    for day in sorted(days):
        while waiting and waiting[0] <= day:
            total = total.plus(changes[waiting.pop(0)])
        yield day, total


def changed(now: Mapping[CountKey, Counts], before: Mapping[CountKey, Counts]) -> dict[CountKey, Counts]:
    """Return the counts that are not what the newest snapshot states; those that are no more are 0."""
    found = {key: counts for key, counts in now.items() if counts != before.get(key, NONE)}
    return found | {key: NONE for key, counts in before.items() if key not in now and counts != NONE}
