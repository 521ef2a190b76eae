"""Ranges that are asked about again and again, encoded once: each is used only while what it rests on is unchanged.

A range is kept when it is asked about for the second time. Before each use the newest entries of the facts about its
commits, reviews and tickets are compared, and their waiting tasks: facts are only appended, or replaced where
they are by one without content when they are forgotten, so the same newest fact, number of facts and number of known
ones are the same facts.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from whence_aggregator.changes.ranges import COMMITS_MAX, CommitRange, CommitRanges, SourceCommit
from whence_aggregator.changes.tracked import TrackedCommits, TrackedRange
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import FACTS_STANDING
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.work import TASKS_OF
from whence_aggregator.trace.facts import (
    COMMIT_KIND,
    RANGE_KIND,
    REVIEW_KIND,
    TICKET_KIND,
    Registered,
    subject_of_range,
)

KEPT_RANGES_MAX = 256
KEPT_BYTES_MAX = 64 * 1024 * 1024
"""Of all ranges together: a thousand commits with their tickets and reviews take about half a megabyte."""
_ONE_BYTES_MAX = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRange:
    """The commits between two commits, and what decides which tickets their messages name."""

    a: SourceCommit
    b: SourceCommit
    application: Registered | None
    patterns: tuple[str, ...]

    @property
    def key(self) -> tuple[object, ...]:
        """Return what tells ranges apart; a revision of an application is an entry of its own."""
        revision = self.application.ledger_index if self.application is not None else None
        return self.a, self.b, revision, self.patterns


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRange:
    """A range as the API shows it, encoded."""

    content: bytes

    def to_wire(self, patterns: tuple[str, ...]) -> Any:
        """Return the document; it was encoded for these patterns."""
        del patterns
        return msgspec.Raw(self.content)

    def mirrored(self) -> EncodedRange:
        """Return the same range, seen from the other end."""
        wire = msgspec.json.decode(self.content)
        wire["only_a"], wire["only_b"] = wire["only_b"], wire["only_a"]
        return EncodedRange(content=msgspec.json.encode(wire))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subjects:
    """The subjects of the facts that a range rests on, as parameters of queries."""

    ranges: str
    commits: str
    reviews: str
    tickets: str

    @classmethod
    def of(cls, wanted: WantedRange, found: TrackedRange) -> _Subjects:
        repository, a, b = wanted.b.repository, wanted.a.commit_id, wanted.b.commit_id
        commits = (*found.commits.only_b, *found.commits.only_a)
        return cls(
            ranges=array([subject_of_range(repository, a, b), subject_of_range(repository, b, a)]),
            commits=array([f"{repository}@{one.commit_id}" for one in commits]),
            reviews=array(found.reviews), tickets=array(found.tickets),
        )  # fmt: skip

    @property
    def size(self) -> int:
        return len(self.ranges) + len(self.commits) + len(self.reviews) + len(self.tickets)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    subjects: _Subjects
    rests_on: bytes = b""
    content: bytes = b""
    """Empty while the range was asked about only once."""

    @property
    def size(self) -> int:
        return self.subjects.size + len(self.content)


class EncodedRanges:
    """Returns the commits between two with their reviews and tickets. Keeps at most so many ranges and bytes."""

    def __init__(
        self, *, database: Database, ranges: CommitRanges, tracked: TrackedCommits, bytes_max: int = KEPT_BYTES_MAX
    ) -> None:
        self._database = database
        self._ranges = ranges
        self._tracked = tracked
        self._bytes_max = bytes_max
        self._kept: OrderedDict[tuple[object, ...], _Kept] = OrderedDict()
        self._bytes = 0

    @property
    def kept(self) -> tuple[int, int]:
        """Return how many ranges are kept, and their bytes."""
        return len(self._kept), self._bytes

    async def between(self, wanted: WantedRange) -> CommitRange | EncodedRange:
        """Return the range; `unknown` with a reason while it is not collected."""
        kept = self._kept.get(wanted.key)
        rests_on = await self._rests_on(kept.subjects) if kept is not None else b""
        if kept is not None and kept.content and kept.rests_on == rests_on:
            self._keep(wanted, kept)
            return EncodedRange(content=kept.content)
        self._drop(wanted)  # what it rests on may have been forgotten
        found = (await self._ranges.between(wanted.a, wanted.b, commits_max=COMMITS_MAX)).bounded(COMMITS_MAX)
        if found.state != "found":
            return found
        tracked = await self._tracked.read(found, wanted.b.repository, wanted.application)
        if not tracked.asked:
            return tracked.commits
        subjects = _Subjects.of(wanted, tracked)
        if kept is None or kept.subjects != subjects:
            self._keep(wanted, _Kept(subjects=subjects))
            return tracked.commits
        # in a thread: tickets are looked for in a thousand messages, whose authors chose how long that takes
        content = await asyncio.to_thread(lambda: msgspec.json.encode(tracked.commits.to_wire(wanted.patterns)))
        # what was read is at least as new as `rests_on`: if it is newer, the next comparison fails
        self._keep(wanted, _Kept(subjects=subjects, rests_on=rests_on, content=content))
        return EncodedRange(content=content)

    async def _rests_on(self, subjects: _Subjects) -> bytes:
        """Return a digest of what the range rests on, in one round trip."""
        found = await self._database.fetch_all(
            together(
                FACTS_STANDING.bind({"kind": RANGE_KIND, "subjects": subjects.ranges}),
                FACTS_STANDING.bind({"kind": COMMIT_KIND, "subjects": subjects.commits}),
                FACTS_STANDING.bind({"kind": REVIEW_KIND, "subjects": subjects.reviews}),
                FACTS_STANDING.bind({"kind": TICKET_KIND, "subjects": subjects.tickets}),
                TASKS_OF.bind({"kind": REVIEW_KIND, "subjects": subjects.reviews}),
                TASKS_OF.bind({"kind": TICKET_KIND, "subjects": subjects.tickets}),
            )
        )
        return hashlib.sha256(msgspec.json.encode([_sorted(rows) for rows in found])).digest()

    def _keep(self, wanted: WantedRange, kept: _Kept) -> None:
        self._drop(wanted)
        if kept.size > min(_ONE_BYTES_MAX, self._bytes_max):
            return
        self._kept[wanted.key] = kept
        self._bytes += kept.size
        while len(self._kept) > KEPT_RANGES_MAX or self._bytes > self._bytes_max:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.size

    def _drop(self, wanted: WantedRange) -> None:
        kept = self._kept.pop(wanted.key, None)
        self._bytes -= kept.size if kept is not None else 0


def _sorted(rows: Sequence[Any]) -> list[tuple[object, ...]]:
    return sorted(tuple(row[name] for name in row.keys()) for row in rows)  # noqa: SIM118 - sqlite3.Row has no items()
