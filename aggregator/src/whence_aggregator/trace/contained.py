"""Images that contain a commit, or one that names a ticket or review, though they were built from a later commit.

Only ranges of commits that were collected are searched: what is in none of them is not found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whence_aggregator.ports import Database
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.trace import (
    COMMITS_IN_RANGES,
    COMMITS_IN_RANGES_WITH_WORD,
    IMAGES_CONTAINING,
    RANGES_WAITING,
)
from whence_aggregator.trace.commit_tracked import CommitFacts
from whence_aggregator.trace.facts import REVIEW_KIND, Answer, Facts
from whence_aggregator.trace.found_rows import commit_ids, containing, waiting_ranges
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.named_tickets import named_tickets
from whence_aggregator.trace.review_names import names_review, words_of_review
from whence_aggregator.trace.rows import merged, questions, subject_of_commit
from whence_aggregator.trace.tickets import named_in
from whence_aggregator.trackers.places import NO_TRACKERS, KnownTrackers

OF_COMMITS = ("commit", "ticket", "review")
"""The kinds of subjects that are searched in ranges."""
COMMITS_MAX = 100
"""The most commits of ranges that a search follows."""
CONTAINING_MAX = 5_000
"""The most combinations of such a commit, a later one, and an image of that."""
WAITING_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contained:
    """What contains the commits of a search: `by_tip` has them by `host/path@commit` of images."""

    images: tuple[str, ...] = ()
    by_tip: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    commits: Mapping[str, Answer] = field(default_factory=dict)
    """What is known of the commits, and of their reviews, by `host/path@commit`."""
    reviews: Mapping[str, Answer] = field(default_factory=dict)
    trackers: KnownTrackers = NO_TRACKERS

    def commits_of(self, facts: Facts, kind: str, value: str) -> tuple[str, ...]:
        """Return the commits that an instance's image contains and that are the subject, or name it."""
        tip = subject_of_commit(facts.source)
        if not isinstance(tip, str):
            return ()
        place = tip.rpartition("@")[0]
        return tuple(one for one in self.by_tip.get(tip, ()) if self._is_about(f"{place}@{one}", facts, kind, value))

    def _is_about(self, subject: str, facts: Facts, kind: str, value: str) -> bool:
        if kind == "commit":
            return True
        found = CommitFacts(
            subject=subject, application=facts.application, trackers=self.trackers, commit=self.commits[subject],
            review=self.reviews[subject],
        )  # fmt: skip
        if kind == "ticket":
            return any(one.mention.id == value and not one.of_others for one in named_tickets(found))
        stated: Sequence[Mapping[str, Any]] = found.review.value.get("reviews", ())
        patterns = tuple(one.effective for one in (facts.application.trackers if facts.application else ()))
        message = str(found.commit.value.get("message", ""))
        named = [one.id for one in named_in(message, patterns).reviews]
        return names_review(value, subject.rpartition("@")[0], stated, named)


NOTHING_CONTAINED = Contained()


class ContainedCommits:
    """Searches the collected ranges, in a constant number of round trips."""

    def __init__(self, *, database: Database, trackers: KnownTrackers) -> None:
        self._database = database
        self._trackers = trackers

    async def waiting(self) -> int:
        """Return how many ranges wait to be collected, WAITING_MAX at most."""
        return waiting_ranges(await self._database.fetch(RANGES_WAITING.bind({"limit": WAITING_MAX})))

    async def find(self, kind: str, value: str, moment: Moment) -> Contained:
        """Return the images with a commit that contains one that may be about the subject."""
        commits = await self._commits(kind, value, moment) if kind in OF_COMMITS else []
        if not commits:
            return NOTHING_CONTAINED
        asked = IMAGES_CONTAINING.bind(
            {"commits": array(commits), "known_past": moment.known_past, "limit": CONTAINING_MAX}
        )
        images, by_tip = containing(await self._database.fetch(asked))
        found = Contained(images=images, by_tip=by_tip, trackers=self._trackers)
        if kind == "commit" or not images:
            return found
        subjects = sorted({f"{tip.rpartition('@')[0]}@{one}" for tip, some in by_tip.items() for one in some})
        read, reading, reviewed, reviewing = await self._database.fetch_all(
            together(*questions("commit", subjects, moment), *questions(REVIEW_KIND, subjects, moment))
        )
        return Contained(
            images=images, by_tip=by_tip, trackers=self._trackers, commits=merged(subjects, read, reading, moment),
            reviews=merged(subjects, reviewed, reviewing, moment),
        )  # fmt: skip

    async def _commits(self, kind: str, value: str, moment: Moment) -> list[str]:
        past = moment.known_past
        if kind == "commit":
            last = value + "g"  # sorts after every hex digit, in any collation
            asked = COMMITS_IN_RANGES.bind({"first": value, "last": last, "known_past": past, "limit": COMMITS_MAX})
            return commit_ids(await self._database.fetch(asked))
        found: dict[str, None] = {}
        for word in words_of_review(value) if kind == "review" else [value]:
            worded = COMMITS_IN_RANGES_WITH_WORD.bind({"word": word, "known_past": past, "limit": COMMITS_MAX})
            found |= dict.fromkeys(commit_ids(await self._database.fetch(worded)))
        return list(found)[:COMMITS_MAX]
