"""Rows of enrolments, heartbeats and the heartbeat secret as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.agents.sightings import HeartbeatPlace, SealedSighting
from whence_aggregator.ledger.rows import PackedEntry, packed
from whence_aggregator.queries.agents import (
    CountEnrolmentsRow,
    EnrolmentsByKeyRow,
    EnrolmentsOfRow,
    HeardCountersRow,
    HeardLastRow,
    HearRow,
    SecretFingerprintRow,
    StatementTakenRow,
)
from whence_aggregator.queries.audit import DumpLastSeenRow


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundKey:
    """An enrolment's entry, with the key that it binds."""

    key_id: str
    packed: PackedEntry


def bound_key(row: EnrolmentsByKeyRow) -> BoundKey:
    return BoundKey(key_id=row["key_id"].hex(), packed=packed(row))


def enrolments(rows: Sequence[EnrolmentsOfRow]) -> list[PackedEntry]:
    return [packed(row) for row in rows]


def index_taken(rows: Sequence[StatementTakenRow]) -> int | None:
    """Return the entry of the statement with a sequence; None when there is no such statement."""
    return rows[0]["ledger_index"] if rows else None


def heard(rows: Sequence[HearRow]) -> set[str]:
    """Return the ids of the instances whose heartbeats were written."""
    return {row["instance_id"] for row in rows}


def counters(rows: Sequence[HeardCountersRow]) -> dict[str, HeartbeatPlace]:
    """Return the place of the heartbeat that was accepted last, by instance id."""
    return {row["instance_id"]: (row["enrolment"], row["counter"]) for row in rows}


def count(rows: Sequence[CountEnrolmentsRow]) -> int:
    return rows[0]["n"]


def fingerprint(rows: Sequence[SecretFingerprintRow]) -> str | None:
    """Return the fingerprint of the secret that agents enrolled with; None before the first."""
    return rows[0]["fingerprint"] if rows else None


def sighting(row: DumpLastSeenRow) -> SealedSighting:
    return SealedSighting(
        instance_id=row["instance_id"],
        seen_at=row["seen_at"],
        enrolment=row["enrolment"],
        seal=bytes(row["seal"]),
        counter=row["counter"],
        skew_millis=row["skew_millis"],
        skew_confirmed=row["skew_confirmed"],
        beat_seal=bytes(row["beat_seal"] or b""),
    )


def heard_last(row: HeardLastRow) -> int | None:
    """Return when any agent was heard last, in milliseconds; None if no agent was heard."""
    return row["seen_at"]
