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
        return Counts(
            self.passed + sign * other.passed, self.failed + sign * other.failed, self.unknown + sign * other.unknown,
            self.folded + sign * other.folded,
        )  # fmt: skip

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


class NamedCounts(NamedTuple):
    """Counts of a group by its name, None for applications of no team: those of one kind of subject."""

    name: str | None
    kind: str
    of_subjects: bool
    counts: Counts


@dataclass(slots=True, kw_only=True)
class CountedGroup:
    """A row of a summary: its verdicts, and by kind its subjects, each with the worst of its verdicts."""

    verdicts: Counts = NONE
    subjects: dict[str, Counts] = field(default_factory=dict)

    def add(self, kind: str, of_subjects: bool, counts: Counts) -> None:
        if of_subjects:
            known = self.subjects.get(kind)
            self.subjects[kind] = counts if known is None else known.plus(counts)
        else:
            self.verdicts = counts if self.verdicts is NONE else self.verdicts.plus(counts)

    def to_wire(self) -> dict[str, object]:
        subjects = {kind: one.to_wire() for kind, one in sorted(self.subjects.items()) if one.total}
        return {"verdicts": self.verdicts.to_wire(), "subjects": subjects}


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfCount:
    """A count as a snapshot states it; it holds until the next day that states it."""

    key: CountKey
    day: str
    counts: Counts


def grouped(
    rows: Iterable[NamedCounts], name_of: Callable[[str], str | None]
) -> tuple[dict[str | None, CountedGroup], CountedGroup]:
    """Return the groups by the names that `name_of` makes of theirs, without empty ones; and all together.

    What is named '' is in no group, unless `name_of` has a name for it.
    """
    found: dict[str | None, CountedGroup] = {}
    every: dict[tuple[str, bool], list[Counts]] = {}
    for name, kind, of_subjects, counts in rows:
        if counts != NONE:
            every.setdefault((kind, of_subjects), []).append(counts)
            group = name_of(name) if name is not None else None
            if group is not None or name != OF_SUBJECT:
                found.setdefault(group, CountedGroup()).add(kind, of_subjects, counts)
    everything = CountedGroup()
    for (kind, of_subjects), some in every.items():
        everything.add(kind, of_subjects, Counts(*map(sum, zip(*some, strict=True))))
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
