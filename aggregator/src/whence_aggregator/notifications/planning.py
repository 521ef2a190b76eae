"""What becomes of a step of a violation at a destination: sent, not sent, or that what was to be sent is not. Pure.

A fault is announced once it has stood for `notify_after_seconds`, and only while it is confirmed. What ends it within
that time ends it silently. Whoever was told of a fault is told how it went on, even if it concerns somebody else from
then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from whence_aggregator.notifications.destination import Destination
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_common.clock import parse_instant, to_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenStep:
    """A step of a violation, and what the violation was after it."""

    ledger_index: int
    step: str
    at: str
    after: StoredViolation


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """That a destination was told of a violation that stands, or is about to be: by the step with index `announced`."""

    announced: int
    not_before: str
    committed: bool = False
    """It was sent, or will be whatever follows."""
    held: bool = False
    """It waits until the fault is confirmed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    ledger_index: int
    due_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    ledger_index: int
    held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    ledger_index: int
    why: str


Effect = Send | Hold | Skip


def plan(told: Told | None, taken: TakenStep, destination: Destination) -> tuple[Told | None, Sequence[Effect]]:
    """Return what the destination is told after a step, and what follows for its deliveries."""
    after, concerned = taken.after, destination.concerns(taken.after)
    if told is None:
        if not (_stands(after) and concerned and not after.unconfirmed_since and destination.announces(taken.step)):
            return None, ()
        due = parse_instant(taken.at) + timedelta(seconds=destination.notify_after_seconds)
        told = Told(announced=taken.ledger_index, not_before=to_instant(due))
        return told, (Send(ledger_index=told.announced, due_at=told.not_before),)
    if not told.committed:
        if taken.step in ("unconfirmed", "confirmed"):
            held = taken.step == "unconfirmed"
            return replace(told, held=held), (Hold(ledger_index=told.announced, held=held),)
        if told.held or taken.at <= told.not_before:
            if _stands(after) and concerned:
                return told, ()
            return None, (Skip(ledger_index=told.announced, why=f"{taken.step} before it was to be sent"),)
        told = replace(told, committed=True)
    sends = taken.step in destination.steps or not concerned
    goes_on = after.is_open and concerned
    effects = (Send(ledger_index=taken.ledger_index, due_at=taken.at),) if sends else ()
    return told if goes_on else None, effects


def _stands(one: StoredViolation) -> bool:
    """Return whether a violation calls for somebody."""
    return one.is_open and not one.acknowledged_at and not one.exemption
