"""What is read from code hosts and trackers: the reviews of a commit, and a ticket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from whence_aggregator.trackers.review import Review
from whence_aggregator.trackers.ticket import Ticket, TicketProblem

NoReview = Literal["commit-unknown", "no-review"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewFinding:
    """The merged reviews that a commit came in by; without one, why there is none."""

    reviews: tuple[Review, ...] = ()
    repository_id: str = ""
    """The host's number of the repository: a stranger can take a name that was given up."""
    default_branch: str = ""
    renamed_to: str = ""
    unmerged: tuple[int, ...] = ()
    """Reviews that contain the commit and are not merged."""
    none: NoReview | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketFinding:
    """A ticket, or why there is none to show."""

    ticket: Ticket | None = None
    problem: TicketProblem | None = None
    reason: str = ""


class ReviewReader(Protocol):
    async def reviews(self, path: str, commit_id: str) -> ReviewFinding:
        """Return the reviews by which a repository's commit came in. Raises SourceUnavailable."""


class TicketReader(Protocol):
    async def ticket(self, ticket_id: str) -> TicketFinding:
        """Return a ticket by its id in this tracker. Raises SourceUnavailable, or InputError for an invalid id."""
