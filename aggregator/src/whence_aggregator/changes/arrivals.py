"""What came with a change: the commit of what started, the commits since what it replaced, tickets, approvals."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.approvals.rule import CountedApproval
from whence_aggregator.changes.approvals import ApprovedBy, DeployedVersion, read_approvals
from whence_aggregator.changes.counted import ApprovalCounts, StartedVersion
from whence_aggregator.changes.production import Deployed, ProductionChange
from whence_aggregator.changes.ranges import (
    COMMITS_MAX,
    CommitRange,
    CommitRanges,
    RangeCommit,
    SourceCommit,
    answered_alone,
    each_once,
    unknown,
)
from whence_aggregator.changes.reviewed import reviewed
from whence_aggregator.changes.rows import named_commits
from whence_aggregator.changes.tracked import TrackedCommit, TrackedCommits
from whence_aggregator.ports import Database
from whence_aggregator.queries.approvals import COMMITS_OF_IMAGES
from whence_aggregator.queries.query import EVERY_ENTRY, array, together
from whence_aggregator.queries.trace import APPLICATIONS_AT
from whence_aggregator.trace.commit_tracked import ticket_not_asked
from whence_aggregator.trace.facts import REVIEW_KIND, Answer, Registered
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.registered import Tracker
from whence_aggregator.trace.rows import applications, merged, questions
from whence_aggregator.trace.tickets import named_in

COMMITS_OF_PAGE_MAX = 2_000
"""A page ends with the change that reaches so many commits: one change may bring COMMITS_MAX in each direction."""
_NOTHING_BEFORE = "nothing ran here before"
_NO_COMMIT = "nobody stated from which commit the image was built"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """What storage has about the images, applications and versions of a page."""

    commits: Mapping[str, Sequence[SourceCommit]]
    answers: Mapping[str, Answer]
    reviews: Mapping[str, Answer]
    applications: Mapping[str, Registered]
    approvals: Mapping[DeployedVersion, ApprovedBy]
    counted: Mapping[StartedVersion, Mapping[int, CountedApproval]]

    def approved(self, change: ProductionChange, started: Deployed) -> ApprovedBy:
        """Return who approved what started, with whether each approval counts."""
        by = self.approvals[change.place.application_id, started.version, started.image]
        return by.with_counts(self.counted.get(_asked(change, started, self.commits, self.applications), {}))

    def commit_of(self, image: str) -> SourceCommit | None:
        """Return the commit of an image if everyone who stated one stated the same."""
        return _only(image, self.commits)

    def read(self, commit: SourceCommit) -> Answer:
        return self.answers[_subject(commit)]


class Arrivals:
    """Adds to changes what came with them, from storage alone."""

    def __init__(
        self, *, database: Database, ranges: CommitRanges, tracked: TrackedCommits, counts: ApprovalCounts
    ) -> None:
        self._database = database
        self._counts = counts
        self._ranges = ranges
        self._tracked = tracked

    async def of(self, changes: Sequence[ProductionChange]) -> list[dict[str, Any]]:
        """Return changes as the API shows them: the first ones, whole entries, until COMMITS_OF_PAGE_MAX is reached."""
        known = await self._known(changes)
        shown: list[dict[str, Any]] = []
        commits = 0
        for change in changes:
            if commits >= COMMITS_OF_PAGE_MAX and change.ledger_index != shown[-1]["ledger_index"]:
                break
            shown.append(await self._shown(change, known))
            ranges = [one["commits"] for one in shown[-1]["started"]]
            commits += sum(len(one["only_a"]) + len(one["only_b"]) for one in ranges)
        return shown

    async def _known(self, changes: Sequence[ProductionChange]) -> _Known:
        images = {one.image for change in changes for one in (*change.before, *change.after)}
        rows = await self._database.fetch(
            COMMITS_OF_IMAGES.bind({"digests": array(sorted(images)), "past": EVERY_ENTRY})
        )
        commits = named_commits(rows)
        subjects = sorted({_subject(one) for stated in commits.values() for one in stated})
        names = sorted({change.place.application_id for change in changes})
        registered, facts, tasks, reviews, waiting = await self._database.fetch_all(
            together(
                APPLICATIONS_AT.bind({"application_ids": array(names), "past": EVERY_ENTRY}),
                *questions("commit", subjects, NOW),
                *questions(REVIEW_KIND, subjects, NOW),
            )
        )
        started = sorted(
            {(change.place.application_id, one.version, one.image) for change in changes for one in change.started}
        )
        found = applications(registered)
        counted = await self._counts.of(
            list(dict.fromkeys(
                _asked(change, one, commits, found) for change in changes for one in change.started if one.version
            ))
        )  # fmt: skip
        return _Known(
            counted=counted,
            commits=commits,
            answers=merged(subjects, facts, tasks, NOW),
            reviews=merged(subjects, reviews, waiting, NOW),
            applications=found,
            approvals=await read_approvals(self._database, started, past=EVERY_ENTRY),
        )

    async def _shown(self, change: ProductionChange, known: _Known) -> dict[str, Any]:
        return {
            "recorded_at": change.recorded_at,
            "observed_at": change.observed_at,
            "ledger_index": change.ledger_index,
            "application_id": change.place.application_id or None,
            "account_id": change.place.account_id,
            "region": change.place.region,
            "instance_id": change.instance_id,
            "cause": change.cause,
            "before": [one.to_wire() for one in change.before],
            "after": [one.to_wire() for one in change.after],
            "started": [await self._started(change, one, known) for one in change.started],
            "ended": [one.to_wire() for one in change.ended],
        }

    async def _started(self, change: ProductionChange, started: Deployed, known: _Known) -> dict[str, Any]:
        application = change.place.application_id
        registered = known.applications.get(application)
        trackers = {one.effective: one for one in (registered.trackers if registered is not None else ())}
        commit = known.commit_of(started.image)
        withheld = self._tracked.withheld(commit.repository, registered) if commit is not None else ""
        commits = await self._between(change.replaced, commit, known)
        own = _own(commit, commits, known) if not withheld else []
        if commit is not None and commits.state == "found":
            commits = await self._tracked.of_range(commits, commit.repository, registered)
        alone = await self._tracked.of(own, commit.repository, registered) if commit is not None else {}
        tracked = [*alone.values(), *(TrackedCommit.of(one) for one in commits.only_b)]
        # in a thread: the authors of messages chose how long it takes to look for tickets in them
        shown = await asyncio.to_thread(commits.to_wire, tuple(trackers))
        named = await asyncio.to_thread(_named, [*own, *commits.only_b], tracked, trackers)
        return {
            **started.to_wire(),
            "replaced": change.replaced.to_wire() if change.replaced is not None else None,
            "commit": _commit(started.image, commit, known, withheld),
            "commits": shown,
            **named,
            "review": (
                self._tracked.reviewed(commit, known.reviews[_subject(commit)], registered)
                if commit is not None
                else reviewed(None)
            ),
            "approvals": known.approved(change, started).to_wire(),
        }

    async def _between(self, replaced: Deployed | None, commit: SourceCommit | None, known: _Known) -> CommitRange:
        """Return the commits since what was replaced; a new image may be of the same commit."""
        if replaced is None:
            return unknown(_NOTHING_BEFORE)
        before = known.commit_of(replaced.image)
        if before is None or commit is None:
            return answered_alone(before, commit) or unknown(_NO_COMMIT)
        found = answered_alone(before, commit) or await self._ranges.between(before, commit, commits_max=COMMITS_MAX)
        return found.bounded(COMMITS_MAX)


def _only(image: str, commits: Mapping[str, Sequence[SourceCommit]]) -> SourceCommit | None:
    stated = commits.get(image, ())
    return stated[0] if len(stated) == 1 else None


def _asked(
    change: ProductionChange, started: Deployed, commits: Mapping[str, Sequence[SourceCommit]],
    registered: Mapping[str, Registered],
) -> StartedVersion:  # fmt: skip
    """Return what started, as its approvals are asked about."""
    commit, application = _only(started.image, commits), registered.get(change.place.application_id)
    return StartedVersion(
        application_id=change.place.application_id, version=started.version, image=started.image,
        head=_subject(commit) if commit is not None else "", account_id=change.place.account_id,
        team=str(application.kio.get("team_id") or "") if application is not None else "",
    )  # fmt: skip


def _own(commit: SourceCommit | None, commits: CommitRange, known: _Known) -> list[RangeCommit]:
    """Return the commit that started while those in between are not known; with an older version, none comes."""
    if commit is None or commits.state != "unknown":
        return []
    answer = known.read(commit)
    if answer.outcome != "found":
        return []
    value = answer.value
    return [RangeCommit(
        commit_id=commit.commit_id, author=str(value.get("author", "")), message=str(value["message"]),
        committed_at=str(value.get("committed_at", "")),
    )]  # fmt: skip


def _commit(image: str, commit: SourceCommit | None, known: _Known, withheld: str) -> dict[str, Any]:
    """Return the commit that an image was stated to be built from: asserted at most, since it is not proved here."""
    stated = known.commits.get(image, ())
    if commit is None:
        reason = f"{len(stated)} different commits were stated for the image" if stated else _NO_COMMIT
        state = "contradicted" if stated else "unknown"
        return {"state": state, "reason": reason, "repository": None, "commit": None, "author": None, "subject": None}
    answer = known.read(commit)
    read = answer.value if answer.outcome == "found" and not withheld else {}
    return {
        "state": answer.outcome if answer.outcome in ("missing", "unknown") else "asserted",
        "reason": answer.reason or withheld or None,
        "repository": commit.repository,
        "commit": commit.commit_id,
        "author": read.get("author") or None,
        "subject": read.get("subject") or None,
    }


def _named(
    arrived: Sequence[RangeCommit], tracked: Sequence[TrackedCommit], trackers: Mapping[str, Tracker]
) -> dict[str, Any]:
    """Return the tickets and reviews that commits and their reviews name."""
    patterns = tuple(trackers)
    reviews = (one.id for each in arrived for one in named_in(each.message, patterns).reviews)
    return {
        "tickets": each_once(
            [*(ticket for one in tracked for ticket in one.tickets), *_tickets(arrived, patterns, trackers)]
        ),
        "reviews": list(dict.fromkeys(reviews)),
    }


def _tickets(
    arrived: Sequence[RangeCommit], patterns: tuple[str, ...], trackers: Mapping[str, Tracker]
) -> Iterator[dict[str, Any]]:
    """Yield the tickets that messages name: of those that are not asked about, nothing more is known."""
    for commit in arrived:
        for one in named_in(commit.message, patterns).tickets:
            tracker = trackers.get(one.pattern)
            url = tracker.url_of(one.id) if tracker is not None else None
            yield ticket_not_asked(one.id, url)


def _subject(commit: SourceCommit) -> str:
    return f"{commit.repository}@{commit.commit_id}"
