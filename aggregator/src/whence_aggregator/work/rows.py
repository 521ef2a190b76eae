"""Rows of the task table as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.queries.work import ClaimTaskRow, CountTasksRow, DueTasksRow, NextDueRow
from whence_aggregator.work.task import Due, Task


def due(row: DueTasksRow) -> Due:
    return Due(kind=row["kind"], subject=row["subject"], due_at=row["due_at"], lane=row["lane"], host=row["host"])


def claimed(due: Due, row: ClaimTaskRow, *, lease: str) -> Task:
    """Return a due task that was claimed."""
    return Task(
        kind=due.kind, subject=due.subject, lane=due.lane, host=due.host, lease=lease, attempts=row["attempts"],
        reason=row["reason"], failed_at=row["failed_at"],
    )  # fmt: skip


def next_due(row: NextDueRow) -> str | None:
    """Return when the next task becomes due; None when none waits."""
    return row["due_at"]


def count_by_kind(rows: Sequence[CountTasksRow]) -> dict[str, int]:
    """Return the number of waiting tasks by kind."""
    return {row["kind"]: row["n"] for row in rows}
