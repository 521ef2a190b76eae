"""What code hosts and trackers answered about commits: the review of each, and the tickets that it names."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from whence_aggregator.ports import Database
from whence_aggregator.queries.query import together
from whence_aggregator.trace.derive_review import judged_review, merged_elsewhere
from whence_aggregator.trace.derive_ticket import judged_tickets
from whence_aggregator.trace.facts import NOT_ASKED, REVIEW_KIND, TICKET_KIND, Answer, Registered
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.named_tickets import reviews_of, stated_by, wanted_tickets
from whence_aggregator.trace.rows import merged, questions
from whence_aggregator.trackers.places import KnownTrackers
from whence_aggregator.trackers.review import Review, good_approvals
from whence_aggregator.trackers.stated import withheld_repository

T = TypeVar("T")
TRACKED_MAX = 200
"""The commits of a range whose reviews and tickets are asked for: the newest ones."""
TICKETS_MAX = 500
"""The tickets of one range that are asked for."""
NOT_AMONG = f"not asked: only the newest {TRACKED_MAX} commits of a range are"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitFacts:
    """A commit alone, with what was answered about its reviews and tickets. `subject` is `host/path@commit`."""

    subject: str
    application: Registered | None
    trackers: KnownTrackers
    commit: Answer
    review: Answer = NOT_ASKED
    tickets: Mapping[str, Answer] = field(default_factory=dict)
    parents_at: str = ""
    """NOTE: not read for the commits of a range, whose parents may be outside of it."""

    @property
    def host(self) -> str:
        return self.subject.partition("/")[0]

    @property
    def withheld(self) -> str:
        """Return why its review and tickets are neither asked for nor shown; empty if they are."""
        return withheld_repository(self.subject.rpartition("@")[0], stated_by(self.application), self.trackers)

    @property
    def asks_review(self) -> bool:
        return self.trackers.reads_reviews(self.host) and not self.withheld

    def review_shown(self) -> dict[str, Any]:
        """Return the review: of several, the first one with an approval that counts."""
        if self.withheld:
            return _shown("unknown", self.withheld, None, NOT_ASKED)
        if not self.asks_review:
            return _shown("unknown", f"not configured: reviews of {self.host} are not read", None, self.review)
        state, reason = judged_review(self, lambda one: merged_elsewhere(one, self))
        found = reviews_of(self)
        good = (one for one in found if good_approvals(one) and merged_elsewhere(one, self) is None)
        best = next(good, found[0] if found else None)
        return _shown(state, reason, best, self.review)

    def tickets_shown(self) -> list[dict[str, Any]]:
        """Return the tickets that the commit and its reviews name."""
        if self.withheld:
            return []
        return [{name: one.get(name) for name in _OF_TICKETS} for one in judged_tickets(self)]


_OF_TICKETS = (
    "id", "url", "state", "reason", "problem", "title", "status", "assignee", "type", "closed_at", "approved", "host",
    "review", "observed_at", "read",
)  # fmt: skip


def commit_facts(
    repository: str, value: Mapping[str, Any], application: Registered | None, trackers: KnownTrackers
) -> CommitFacts:
    """Return the facts of a commit by its value; one whose message is not known names nothing."""
    known = {"repository": repository, "committed_at": "", **value}
    found = Answer(outcome="found" if "message" in value else "unknown", value=known, reason="it was not read")
    return CommitFacts(
        subject=f"{repository}@{value['commit']}", application=application, trackers=trackers, commit=found
    )


def tracked_of(ahead: Sequence[T], behind: Sequence[T]) -> list[T]:
    """Return the commits of both directions that are asked about: the same ones, whichever direction is named first."""
    half = TRACKED_MAX // 2
    first, other = max(half, TRACKED_MAX - len(behind)), max(half, TRACKED_MAX - len(ahead))
    return [*ahead[:first], *behind[:other]]


async def with_answers(database: Database, commits: Sequence[CommitFacts]) -> list[CommitFacts]:
    """Return commits with what was answered about them, in two round trips."""
    reviews = await _answers(database, REVIEW_KIND, [one.subject for one in commits if one.asks_review])
    found = [replace(one, review=_with_reviews(reviews.get(one.subject, NOT_ASKED))) for one in commits]
    # in a thread: the authors of messages chose how long it takes to look for tickets in them
    wanted = await asyncio.to_thread(
        lambda: [wanted_tickets(one) if one.trackers.reads_tickets and not one.withheld else [] for one in found]
    )
    tickets = await _answers(database, TICKET_KIND, [one for some in wanted for one in some])
    return [
        replace(one, tickets={name: tickets[name] for name in some}) for one, some in zip(found, wanted, strict=True)
    ]


def _with_reviews(answer: Answer) -> Answer:
    """Return an answer whose reviews are values already: each is looked at several times."""
    if not answer.value.get("reviews"):
        return answer
    reviews = [Review.from_wire(one) for one in answer.value["reviews"]]
    return replace(answer, value={**answer.value, "reviews": reviews})


def unanswered(asked: Sequence[CommitFacts]) -> list[tuple[str, str]]:
    """Return the questions, by kind and subject, that nobody has answered and no task asks."""
    reviews = [(REVIEW_KIND, one.subject) for one in asked if one.asks_review and one.review == NOT_ASKED]
    tickets = dict.fromkeys(name for one in asked for name, found in one.tickets.items() if found == NOT_ASKED)
    return [*reviews, *((TICKET_KIND, one) for one in list(tickets)[:TICKETS_MAX])]


async def _answers(database: Database, kind: str, subjects: Sequence[str]) -> dict[str, Answer]:
    wanted = sorted(set(subjects))
    if not wanted:
        return {}
    found, waiting = await database.fetch_all(together(*questions(kind, wanted, NOW)))
    return merged(wanted, found, waiting, NOW)


def not_among() -> dict[str, Any]:
    """Return what is shown as the review of a commit that is not asked about."""
    return _shown("unknown", NOT_AMONG, None, NOT_ASKED)


def withheld_review(why: str) -> dict[str, Any]:
    """Return what is shown as the review of a commit whose repository is not the application's."""
    return _shown("unknown", why, None, NOT_ASKED)


def ticket_not_asked(name: str, url: str | None) -> dict[str, Any]:
    """Return what is shown of a ticket that is not asked about."""
    unknown = {"id": name, "url": url, "state": "unknown", "reason": NOT_AMONG}
    return {one: unknown.get(one) for one in _OF_TICKETS}


def _shown(state: str, reason: str | None, review: Review | None, answer: Answer) -> dict[str, Any]:
    return {
        "state": state,
        "reason": reason or None,
        "number": review.number if review is not None else None,
        "url": review.url if review is not None else None,
        "title": review.title if review is not None else None,
        "author": review.author if review is not None else None,
        "approved_by": [one.by for one in good_approvals(review)] if review is not None else [],
        "observed_at": answer.observed_at or None,
        "read": answer.read or None,
    }
