"""A ticket as its tracker states it, and whether it is the one that a commit may name. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from whence_common.clock import parse_instant

TicketProblem = Literal[
    "missing", "forbidden", "review", "closed-before-commit", "other-project", "created-after-merge"
]
CLOCK_TOLERANCE = timedelta(minutes=5)
"""Clocks of machines that commit and of trackers differ by this much without a meaning."""
_LINES = ("id", "project", "title", "status", "assignee", "type", "parent", "closed_at", "created_at", "url", "outcome")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A ticket in its tracker. `id` is its name there now, which differs from the one asked for when it was moved."""

    id: str
    project: str
    title: str
    status: str
    closed: bool | None = None
    """None: the tracker does not state it."""
    assignee: str = ""
    type: str = ""
    parent: str = ""
    closed_at: str = ""
    created_at: str = ""
    url: str = ""
    outcome: str = ""
    """Why it was closed, in the tracker's words: completed, not_planned, a resolution."""
    internal: str = ""
    """The tracker's own id, which no move changes."""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Ticket:
        lines = {name: str(wire.get(name) or "") for name in (*_LINES, "internal")}
        return cls(**lines, closed=wire.get("closed"))

    def to_wire(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in (*_LINES, "internal")}, "closed": self.closed}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitTimes:
    """When a commit was made, by whom that is stated; empty where it is not known.

    Its committer chooses `committed_at`. The commit is not older than its parents, and one that a merge made is not
    older than the merge, whose time is the host's.
    """

    committed_at: str
    parents_at: str = ""
    """The newest time of its parents."""
    merged_at: str = ""
    by_merge: bool = False
    """Whether the merge made it."""

    @property
    def not_before(self) -> tuple[str, str]:
        """Return the time before which the commit was not made, and what that is the time of."""
        times = [(self.committed_at, "the commit"), (self.parents_at, "the newest parent of the commit")]
        if self.by_merge:
            times.append((self.merged_at, "the merge"))
        return max(times, key=lambda one: one[0])

    @property
    def came_in(self) -> tuple[str, str]:
        """Return when the commit came in, and what that is the time of."""
        return (self.merged_at, "the merge") if self.merged_at else (self.committed_at, "the commit")


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketStanding:
    """Whether a ticket stands behind a commit: what is wrong with it, if anything, and what is worth knowing."""

    problem: TicketProblem | None
    reason: str
    moved_to: str = ""
    approved: bool | None = None
    """Whether its status is one that counts as approved; None when no states are configured."""


def standing(
    ticket: Ticket, *, asked: str, projects: Sequence[str], times: CommitTimes, approved_states: Sequence[str]
) -> TicketStanding:
    """Return whether a ticket that the tracker has stands behind a commit. `asked` is its id as the commit names it."""
    moved = ticket.id if ticket.id.lower() != asked.lower() else ""
    states = {one.lower() for one in approved_states}
    approved = ticket.status.lower() in states if states else None
    if projects and ticket.project.lower() not in {one.lower() for one in projects}:
        where = f"{asked} is now {moved}, of" if moved else f"{ticket.id} is of"
        reason = f"{where} the project {ticket.project}, not of {', '.join(projects)[:200]}"
        return TicketStanding(problem="other-project", reason=reason, moved_to=moved, approved=approved)
    at, of = times.not_before
    if _before(ticket.closed_at, at):
        reason = f"{ticket.id} was closed at {ticket.closed_at}, before {of} at {at}"
        return TicketStanding(problem="closed-before-commit", reason=reason, moved_to=moved, approved=approved)
    at, of = times.came_in
    if not moved and _before(at, ticket.created_at):  # some trackers date a ticket by its move
        reason = f"{ticket.id} was created at {ticket.created_at}, after {of} at {at}"
        return TicketStanding(problem="created-after-merge", reason=reason, approved=approved)
    reason = f"{asked} was moved to {moved}" if moved else ""
    return TicketStanding(problem=None, reason=reason, moved_to=moved, approved=approved)


def _before(earlier: str, later: str) -> bool:
    """Return whether a time is before another by more than clocks differ."""
    try:
        return parse_instant(earlier) + CLOCK_TOLERANCE < parse_instant(later)
    except ValueError:
        return False
