"""A task of the queue, and what does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import msgspec


class Due(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A task that is due, before anybody has claimed it."""

    kind: str
    subject: str
    due_at: str
    lane: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A question that was claimed: what kind of work, about what, on whose behalf, and of which host."""

    kind: str
    subject: str
    lane: str
    host: str
    lease: str
    """When the claim ends: another replica may do it then."""
    attempts: int

    @classmethod
    def of(cls, due: Due, *, lease: str, attempts: int) -> Task:
        return cls(kind=due.kind, subject=due.subject, lane=due.lane, host=due.host, lease=lease, attempts=attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The task is done for now, and is due again after `seconds`. `reason` says why, in the list of tasks."""

    seconds: float
    reason: str


class Handler(Protocol):
    """Does tasks of one kind."""

    async def do(self, task: Task) -> Again | None:
        """Do a task; return None when it is done for good.

        Raises SourceUnavailable to have it tried again after a pause, Unstorable for an answer that no store takes,
        InputError when it can never be done: it is then forgotten.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How tasks of one kind are done."""

    handler: Handler
    under_way_max: int | None = None
    """How many at once in this process, beside the shares of lanes and hosts; None sets no bound of its own."""
    seconds_between: float = 0.0
    """The least time from one task's start to the next one's."""
