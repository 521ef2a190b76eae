"""A task of the queue, and its handler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from whence_aggregator.queries.query import BoundCommand


class Due(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A due task that is not claimed."""

    kind: str
    subject: str
    due_at: str
    lane: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A claimed task: its kind, subject, lane and host."""

    kind: str
    subject: str
    lane: str
    host: str
    lease: str
    """When the claim expires: then another replica may do the task."""
    attempts: int
    """Including this one."""
    reason: str = ""
    """How the attempt before ended."""
    failed_at: str = ""
    """Since when attempts have failed; empty: the one before did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """The task is done, and is due again after `seconds`. `reason` is shown in the list of tasks."""

    seconds: float
    reason: str
    asked: bool = True
    """Whether its source was asked: if not, a failure before stands."""


class Marks(Protocol):
    """What rests on a source that is read."""

    def __call__(self, kind: str, subject: str) -> Sequence[BoundCommand]:
        """Return what has everything judged again that rests on the answer to a question."""


class Handler(Protocol):
    """Does tasks of one kind."""

    async def do(self, task: Task) -> Again | None:
        """Do a task; return None when it is done for good.

        Raises SourceUnavailable to try it again after a pause, Unstorable for an answer that no store accepts, and
        InputError when it can never be done: it is then deleted.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How tasks of one kind are done."""

    handler: Handler
    under_way_max: int | None = None
    """The maximum number of concurrent tasks in this process, beside the limits of lanes and hosts; None: no limit."""
    seconds_between: float = 0.0
    """The minimum time between the starts of two tasks."""
