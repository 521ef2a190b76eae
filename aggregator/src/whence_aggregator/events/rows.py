"""Rows about CloudTrail's events and objects as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from whence_aggregator.events.dead_letters import DeadLetter, DeadSort
from whence_aggregator.events.digest_chain import VerifiedDigest
from whence_aggregator.queries.events import (
    CloudEventsKnownRow,
    CountTrailDeadRow,
    SignatureBySuccessorRow,
    TrailChainStatedRow,
    TrailDeadPageRow,
    TrailDigestsOfChainRow,
    TrailDigestStateRow,
    TrailKeyRow,
    TrailObjectsKnownRow,
    TrailTasksWaitingRow,
)


def event_ids(rows: Iterable[CloudEventsKnownRow]) -> frozenset[str]:
    """Return the ids of events that are recorded."""
    return frozenset(row["event_id"] for row in rows)


def etags(rows: Iterable[TrailObjectsKnownRow]) -> dict[str, str]:
    """Return the ETag of each object that was read whole, by its key."""
    return {row["object_key"]: row["etag"] for row in rows}


def dead_letters(rows: Sequence[TrailDeadPageRow]) -> list[DeadLetter]:
    return list(map(_dead_letter, rows))


def _dead_letter(row: TrailDeadPageRow) -> DeadLetter:
    sort: DeadSort = "message" if row["sort"] == "message" else "object" if row["sort"] == "object" else "record"
    return DeadLetter(
        id=row["id"], sort=sort, place=row["place"], number=row["number"], body=row["body"], code=row["code"],
        reason=row["reason"], account_id=row["account_id"], region=row["region"], dead_at=row["dead_at"],
    )  # fmt: skip


def dead_counts(rows: Iterable[CountTrailDeadRow]) -> Mapping[str, int]:
    """Return the number of dead letters by code."""
    return {row["code"]: row["n"] for row in rows}


def tasks_waiting(rows: Sequence[TrailTasksWaitingRow]) -> int:
    return rows[0]["n"]


def verified_digest(row: TrailDigestsOfChainRow) -> VerifiedDigest:
    return VerifiedDigest(
        place=f"s3://{row['bucket']}/{row['object_key']}",
        state=row["state"],
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
        content_digest=row["content_digest"],
        previous_place=row["previous_place"],
        previous_hash=row["previous_hash"],
        reason=row["reason"],
        files=row["files"],
        files_missing=row["files_missing"],
        files_invalid=row["files_invalid"],
    )


def digest_known(rows: Sequence[TrailDigestStateRow]) -> bool:
    """Return whether a digest file was verified, or found missing."""
    return bool(rows)


def chain_stated(rows: Sequence[TrailChainStatedRow]) -> tuple[str, str] | None:
    """Return the recorded state of a chain and its reason; None before the first."""
    return (rows[0]["state"], rows[0]["reason"]) if rows else None


def stated_signature(rows: Sequence[SignatureBySuccessorRow]) -> str:
    """Return the signature that the next digest file states of one; empty when that is not known."""
    return rows[0]["previous_signature"] if rows else ""


def public_key(rows: Sequence[TrailKeyRow]) -> bytes | None:
    return bytes(rows[0]["content"]) if rows else None


def object_digests(rows: Iterable[TrailObjectsKnownRow]) -> dict[str, str]:
    """Return the SHA-256 of each object that was read whole, by its key."""
    return {row["object_key"]: row["digest"] for row in rows}
