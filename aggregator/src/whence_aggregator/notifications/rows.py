"""Rows of notifications as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.notifications.flood import SentMessages
from whence_aggregator.notifications.outcome import Notification
from whence_aggregator.notifications.planning import TakenStep, Told
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.queries.notifications import (
    AwayDestinationsRow,
    BegunDigestRow,
    CountNotificationsRow,
    DeadNotificationsRow,
    NewestStepRow,
    NextDigestRow,
    NextNotificationRow,
    NotificationDestinationsRow,
    NotificationTracksRow,
    NotifiedSinceRow,
    StepsToPlanRow,
)

NotificationRow = NextNotificationRow | NextDigestRow | BegunDigestRow


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationState:
    """How a destination stands."""

    name: str
    fed_index: int
    fed_at: str
    paused_until: str
    failures: int
    disabled_at: str
    disabled_reason: str
    due_at: str
    """When its next delivery is due; empty: none waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingDelivery:
    """A delivery with what it was before this try."""

    violation: str
    notification: Notification
    attempts: int
    first_tried_at: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadNotification:
    """A delivery that was given up."""

    id: str
    destination: str
    violation: str
    step: str
    ledger_index: int
    attempts: int
    code: str
    reason: str
    dead_at: str

    def to_wire(self) -> dict[str, object]:
        return {
            "id": self.id, "destination": self.destination, "violation": self.violation, "step": self.step,
            "ledger_index": self.ledger_index, "attempts": self.attempts, "code": self.code, "reason": self.reason,
            "dead_at": self.dead_at,
        }  # fmt: skip


def destination_states(rows: Sequence[NotificationDestinationsRow]) -> dict[str, DestinationState]:
    return {
        row["name"]: DestinationState(
            name=row["name"], fed_index=row["fed_index"], fed_at=row["fed_at"], paused_until=row["paused_until"],
            failures=row["failures"], disabled_at=row["disabled_at"], disabled_reason=row["disabled_reason"],
            due_at=row["due_at"] or "",
        )
        for row in rows
    }  # fmt: skip


def taken_steps(rows: Sequence[StepsToPlanRow]) -> list[TakenStep]:
    """Return the steps, without those of before there were notifications."""
    return [
        TakenStep(
            ledger_index=row["ledger_index"], step=row["step"], at=row["at"],
            after=StoredViolation.of_text(row["state_after"]),
        )
        for row in rows
        if row["state_after"]
    ]  # fmt: skip


def told_by_violation(rows: Sequence[NotificationTracksRow]) -> dict[str, Told]:
    """Return what a destination was told, by violation. What was tried may have arrived, and so counts as told."""
    return {
        row["violation"]: Told(
            announced=row["announced"], not_before=row["not_before"],
            committed=row["committed"] == 1 or row["state"] != "waiting" or row["attempts"] != 0,
            held=row["held"] == 1,
        )
        for row in rows
    }  # fmt: skip


def waiting(rows: Sequence[NotificationRow]) -> list[WaitingDelivery]:
    return [
        WaitingDelivery(
            violation=row["violation"], attempts=row["attempts"], first_tried_at=row["first_tried_at"],
            digest=row["digest"],
            notification=Notification(
                id=row["id"], ledger_index=row["ledger_index"], step=row["step"], at=row["at"], by=row["done_by"],
                comment=row["comment"], after=StoredViolation.of_text(row["state_after"]),
            ),
        )
        for row in rows
    ]  # fmt: skip


def sent_messages(rows: Sequence[NotifiedSinceRow]) -> SentMessages:
    (row,) = rows
    return SentMessages(count=row["n"], oldest=row["oldest"] or "")


def away_destinations(rows: Sequence[AwayDestinationsRow]) -> list[str]:
    return [row["name"] for row in rows]


def newest_index(rows: Sequence[NewestStepRow]) -> int:
    """Return the index of the newest step; -1 before the first."""
    return rows[0]["entry"]


def counts(rows: Sequence[CountNotificationsRow]) -> dict[tuple[str, str], tuple[int, str]]:
    """Return how many deliveries wait or are dead by destination and state, with when the oldest was due."""
    return {(row["destination"], row["state"]): (row["n"], row["oldest"] or "") for row in rows}


def dead_notifications(rows: Sequence[DeadNotificationsRow]) -> list[DeadNotification]:
    return [
        DeadNotification(
            id=row["id"], destination=row["destination"], violation=row["violation"], step=row["step"],
            ledger_index=row["ledger_index"], attempts=row["attempts"], code=row["code"], reason=row["failure"],
            dead_at=row["done_at"],
        )
        for row in rows
    ]  # fmt: skip


def newest_planned(rows: Sequence[StepsToPlanRow]) -> int:
    """Return the index of the newest step of a page that is not empty."""
    return rows[-1]["ledger_index"]
