"""Rows of facts and of the inventory as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypedDict

import msgspec

from whence_aggregator.queries.accounts import AccountPlansOfRow
from whence_aggregator.queries.collect import (
    EnrolledUnlistedRow,
    FactsNowRow,
    InventoryOfRegionRow,
    KeptAnswerRow,
    ListingBegunRow,
    SettingDigestRow,
)
from whence_aggregator.queries.work import DueInLaneRow, TasksOfKindRow, TasksOfRow
from whence_aggregator.trace.life import Life, as_life

NOT_COLLECTED = "not collected yet"


class _Image(TypedDict):
    image_digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingFact:
    """A recorded fact."""

    subject: str
    outcome: str
    reason: str
    value: dict[str, Any]
    observed_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledLife:
    """An instance's life, and the newest statement that it was derived from."""

    life: Life
    cause: str
    spoke_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryRecord:
    """An instance in the previous listing; `enrolled` is None if it did not enrol."""

    instance_id: str
    state: str
    launched_at: str
    user_data_digest: str
    user_data_unread: str
    enrolled: EnrolledLife | None
    details: Mapping[str, str] = field(default_factory=dict)


def standing_fact(row: FactsNowRow) -> StandingFact:
    return StandingFact(
        subject=row["subject"],
        outcome=row["outcome"],
        reason=row["reason"],
        value=msgspec.json.decode(row["value"]),
        observed_at=row["observed_at"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftTask:
    """The task that reads the drift of an account: when it is due, and since when its attempts fail."""

    subject: str
    due_at: str
    reason: str
    failed_at: str
    """Empty: the newest attempt did not fail."""


def drift_task(row: TasksOfRow) -> DriftTask:
    return DriftTask(
        subject=row["subject"], due_at=row["due_at"], reason=row["reason"], failed_at=row["failed_at"]
    )  # fmt: skip


def newest_plan(rows: Sequence[AccountPlansOfRow]) -> int:
    """Return the entry of the newest plan that was applied to an account; -1 if none was."""
    return max((row["ledger_index"] for row in rows), default=-1)


def task_subjects(rows: Sequence[TasksOfKindRow]) -> list[str]:
    return [row["subject"] for row in rows]


def found_values(rows: Sequence[FactsNowRow]) -> list[str]:
    """Return the values of facts that were found, as they are stored."""
    return [row["value"] for row in rows if row["outcome"] == "found"]


def inventory_record(row: InventoryOfRegionRow) -> InventoryRecord:
    life, cause, spoke_at = row["life"], row["cause"], row["spoke_at"]
    enrolled = None
    if life is not None and cause is not None and spoke_at is not None:
        enrolled = EnrolledLife(life=as_life(life), cause=cause, spoke_at=spoke_at)
    return InventoryRecord(
        instance_id=row["instance_id"],
        state=row["state"],
        launched_at=row["launched_at"],
        user_data_digest=row["user_data_digest"],
        user_data_unread=row["user_data_unread"],
        enrolled=enrolled,
        details=msgspec.json.decode(row["details"]) if row["details"] else {},
    )


def unlisted(rows: Sequence[EnrolledUnlistedRow]) -> list[str]:
    """Return the ids of enrolled instances that were in no listing."""
    return [row["instance_id"] for row in rows]


def begun_at(row: ListingBegunRow) -> int:
    """Return when the newest listing of an account and region began."""
    return row["begun_at"]


def failures(row: ListingBegunRow) -> int:
    """Return how many listings of an account and region failed in succession."""
    return row["failures"]


def image_digest(rows: Sequence[_Image]) -> str | None:
    """Return the first image; None when there is none."""
    return rows[0]["image_digest"] if rows else None


def kept_answer(row: KeptAnswerRow) -> tuple[str, str, int, bytes]:
    """Return the tag of a kept answer, the URL of its next page, when it was kept, and its compressed body."""
    return row["etag"], row["next"], row["kept_at"], row["body"]


def setting_digest(rows: Sequence[SettingDigestRow]) -> str:
    """Return the stored digest of a setting; empty before the first."""
    return rows[0]["digest"] if rows else ""


def waiting(rows: Sequence[DueInLaneRow]) -> int:
    """Return how many tasks wait."""
    return rows[0]["n"]


def next_attempt(rows: Sequence[TasksOfRow]) -> str:
    """Return when a fact that is not there is tried next; empty if no task tries it."""
    return rows[0]["due_at"] if rows else ""


def why_not_collected(rows: Sequence[TasksOfRow]) -> str:
    """Return why a fact is not there, and when it is tried next: by its task, if there is one."""
    if not rows:
        return NOT_COLLECTED
    return f"{rows[0]['reason'] or NOT_COLLECTED}; next attempt at {rows[0]['due_at']}"
