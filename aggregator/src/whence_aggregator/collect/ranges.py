"""The commits between two commits, from storage: collected once by the queue, and kept as facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from whence_aggregator.collect.rows import found_values, next_attempt, standing_fact, waiting, why_not_collected
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import FACTS_NOW
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN, DUE_IN_LANE, TASKS_OF
from whence_aggregator.trace.facts import RANGE_KIND, subject_of_range
from whence_aggregator.work.questions import RANGES_WAITING_MAX, question
from whence_common.clock import Now, to_instant
from whence_common.scm_source import SourceRepository

COMMITS_READ_MAX = 2_000
"""Commits of each side that are read at most: as many as are kept."""
LANE = "ranges"
"""A lane of their own: every reader can ask for many, and must not delay what lineages wait for."""


class KnownCommit(msgspec.Struct, frozen=True, kw_only=True):
    """What a list shows of a commit, from the value of its fact; the other members are not decoded."""

    commit: str
    author: str = ""
    committed_at: str = ""
    subject: str = ""
    message: str = ""
    parents: tuple[str, ...] = ()


_KNOWN = msgspec.json.Decoder(KnownCommit)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSide:
    """The commits of one direction, in the order of `git log`."""

    count: int
    counted_whole: bool
    """False: there are more than are counted."""
    commits: Sequence[KnownCommit]
    """Of one that is too large, only its id; fewer than `count` where not all are kept or read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRange:
    """What is known of the commits between two. A side is None while it is not known; `reason` states why."""

    base: str
    head: str
    merge_base: str = ""
    ahead: KnownSide | None = None
    behind: KnownSide | None = None
    reason: str = ""
    due_at: str = ""
    """When a range that is not known is tried next; empty if nothing tries it."""
    observed_at: str = ""
    missing: Sequence[str] = field(default_factory=tuple)


class Ranges:
    """Reads ranges, and has those that are not known collected."""

    def __init__(self, *, database: Database, now: Now, waiting_max: int = RANGES_WAITING_MAX) -> None:
        self._database = database
        self._now = now
        self._waiting_max = waiting_max

    async def want(
        self, repository: SourceRepository, base: str, head: str, *, commits_max: int = COMMITS_READ_MAX
    ) -> KnownRange:
        """Return what is known; a range that was never collected is put into the queue, unless it is full."""
        known = await self.read(repository, base, head, commits_max=commits_max)
        if known.observed_at:
            return known
        now = to_instant(self._now())
        due = DUE_IN_LANE.bind({"lane": LANE, "now": now, "limit": self._waiting_max})
        if waiting(await self._database.fetch(due)) >= self._waiting_max:
            return replace(known, reason=f"{known.reason}; {self._waiting_max} ranges wait, so ask again later")
        asked = question(RANGE_KIND, subject_of_range(repository, base, head), due_at=now, lane=LANE)
        await self._database.write(ADD_TASK_UNLESS_KNOWN.bind([asked]))
        if known.due_at:
            return known
        return replace(known, reason=f"{known.reason}; next attempt at {now}", due_at=now)

    async def read(
        self, repository: SourceRepository, base: str, head: str, *, commits_max: int = COMMITS_READ_MAX
    ) -> KnownRange:
        """Return what is known, in two round trips. Only the first commits of each side are read."""
        subject = subject_of_range(repository, base, head)
        named = array([subject])
        facts, tasks = await self._database.fetch_all(
            together(
                FACTS_NOW.bind({"kind": RANGE_KIND, "subjects": named}),
                TASKS_OF.bind({"kind": RANGE_KIND, "subjects": named}),
            )
        )
        if not facts:
            return KnownRange(base=base, head=head, reason=why_not_collected(tasks), due_at=next_attempt(tasks))
        fact = standing_fact(facts[0])
        sides = [_first(fact.value.get(name), commits_max) for name in ("ahead", "behind")]
        commits = await self._commits(repository, [name for one in sides if one for name in one["commits"]])
        ahead, behind = (_side(one, commits) for one in sides)
        return KnownRange(
            base=base, head=head, merge_base=str(fact.value.get("merge_base", "")), ahead=ahead, behind=behind,
            reason=fact.reason, observed_at=fact.observed_at, missing=tuple(fact.value.get("missing", ())),
        )  # fmt: skip

    async def _commits(self, repository: SourceRepository, names: Sequence[str]) -> dict[str, KnownCommit]:
        if not names:
            return {}
        subjects = array([f"{repository}@{name}" for name in names])
        rows = await self._database.fetch(FACTS_NOW.bind({"kind": "commit", "subjects": subjects}))
        found = [_KNOWN.decode(value) for value in found_values(rows)]
        return {one.commit: one for one in found}


def _first(side: Mapping[str, Any] | None, commits_max: int) -> Mapping[str, Any] | None:
    return {**side, "commits": side["commits"][:commits_max]} if side is not None else None


def _side(side: Mapping[str, Any] | None, commits: Mapping[str, KnownCommit]) -> KnownSide | None:
    if side is None:
        return None
    return KnownSide(
        count=side["count"],
        counted_whole=side["counted_whole"],
        commits=[commits.get(name) or KnownCommit(commit=name) for name in side["commits"]],
    )
