"""The reviews and tickets of the commits in between, from storage; what nobody has asked is put into the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from whence_aggregator.changes.ranges import CommitRange, RangeCommit, SourceCommit
from whence_aggregator.changes.reviewed import reviewed
from whence_aggregator.ports import Database
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN
from whence_aggregator.trace.commit_tracked import (
    CommitFacts,
    commit_facts,
    not_among,
    tracked_of,
    unanswered,
    with_answers,
    withheld_review,
)
from whence_aggregator.trace.facts import Answer, Registered
from whence_aggregator.trace.named_tickets import stated_by
from whence_aggregator.trackers.places import KnownTrackers
from whence_aggregator.trackers.stated import withheld_repository
from whence_aggregator.work.questions import RANGES_LANE, question
from whence_common.clock import Now, to_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedCommit:
    """A commit's review and tickets, as the API shows them."""

    review: Mapping[str, Any]
    tickets: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    @classmethod
    def of(cls, commit: RangeCommit) -> TrackedCommit:
        """Return those of a commit in a range."""
        return cls(review=commit.review or not_among(), tickets=commit.named)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedRange:
    """A range whose commits have their reviews and tickets, and the subjects of the facts that were read for them."""

    commits: CommitRange
    reviews: tuple[str, ...]
    tickets: tuple[str, ...]
    asked: bool
    """Whether every question was answered or waits; otherwise some were put into the queue now."""


class TrackedCommits:
    """Reads what code hosts and trackers answered."""

    def __init__(self, *, database: Database, trackers: KnownTrackers, now: Now) -> None:
        self._database = database
        self._trackers = trackers
        self._now = now

    async def read(self, found: CommitRange, repository: str, application: Registered | None) -> TrackedRange:
        """Return a range whose commits have their reviews and tickets; those that are not asked about state it."""
        withheld = self.withheld(repository, application)
        if withheld:
            return TrackedRange(commits=_without_texts(found, withheld), reviews=(), tickets=(), asked=True)
        chosen = tracked_of(found.only_b, found.only_a)
        facts, known = await self._known(chosen, repository, application)
        return TrackedRange(
            commits=replace(found, only_a=_with(found.only_a, known), only_b=_with(found.only_b, known)),
            reviews=tuple(one.subject for one in facts if one.asks_review),
            tickets=tuple(dict.fromkeys(name for one in facts for name in one.tickets)),
            asked=not unanswered(facts),
        )

    async def of_range(self, found: CommitRange, repository: str, application: Registered | None) -> CommitRange:
        """Return a range whose commits have their reviews and tickets; those that are not asked about state it."""
        return (await self.read(found, repository, application)).commits

    def withheld(self, repository: str, application: Registered | None) -> str:
        """Return why texts of a repository's commits are not shown with an application; empty if they are."""
        return withheld_repository(repository, stated_by(application), self._trackers)

    def reviewed(self, commit: SourceCommit, review: Answer, application: Registered | None) -> dict[str, Any]:
        """Return the reviews of a commit by what was answered about them."""
        facts = commit_facts(commit.repository, {"commit": commit.commit_id}, application, self._trackers)
        return reviewed(replace(facts, review=review))

    async def of(
        self, commits: Sequence[RangeCommit], repository: str, application: Registered | None
    ) -> dict[str, TrackedCommit]:
        """Return the reviews and tickets of commits, by commit id."""
        return (await self._known(commits, repository, application))[1]

    async def _known(
        self, commits: Sequence[RangeCommit], repository: str, application: Registered | None
    ) -> tuple[list[CommitFacts], dict[str, TrackedCommit]]:
        asked = [_facts(one, repository, application, self._trackers) for one in commits]
        asked = await with_answers(self._database, asked)
        wanted = unanswered(asked)
        if wanted:
            now = to_instant(self._now())
            rows = [question(kind, one, due_at=now, lane=RANGES_LANE) for kind, one in wanted]
            await self._database.write(ADD_TASK_UNLESS_KNOWN.bind(rows))
        # in a thread, as their tickets are looked for in messages
        shown = await asyncio.to_thread(
            lambda: [TrackedCommit(review=one.review_shown(), tickets=one.tickets_shown()) for one in asked]
        )
        return asked, {commit.commit_id: one for commit, one in zip(commits, shown, strict=True)}


def _facts(
    commit: RangeCommit, repository: str, application: Registered | None, trackers: KnownTrackers
) -> CommitFacts:
    value = {"commit": commit.commit_id, "message": commit.message, "committed_at": commit.committed_at}
    return commit_facts(repository, value, application, trackers)


def _without_texts(found: CommitRange, why: str) -> CommitRange:
    """Return a range whose commits have their ids and times only."""
    review = withheld_review(why)
    only_a, only_b = (
        tuple(msgspec.structs.replace(one, author="", message="", review=review) for one in side)
        for side in (found.only_a, found.only_b)
    )
    return replace(found, only_a=only_a, only_b=only_b)


def _with(commits: Sequence[RangeCommit], known: Mapping[str, TrackedCommit]) -> tuple[RangeCommit, ...]:
    other = TrackedCommit(review=not_among())
    found = ((one, known.get(one.commit_id, other)) for one in commits)
    return tuple(
        msgspec.structs.replace(one, review=tracked.review, named=tuple(tracked.tickets)) for one, tracked in found
    )
