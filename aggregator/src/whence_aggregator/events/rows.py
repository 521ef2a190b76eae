"""Rows about CloudTrail's events and objects as values. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from whence_aggregator.events.dead_letters import DeadLetter, DeadSort
from whence_aggregator.events.digest_chain import VerifiedDigest
from whence_aggregator.queries.events import (
    CloudEventsKnownRow,
    CountTrailDeadRow,
    EventsOfInstanceRow,
    SessionsKeptRow,
    SessionsKnownRow,
    SignatureBySuccessorRow,
    TrailChainsReadRow,
    TrailChainStatedRow,
    TrailChangesRow,
    TrailCoveragesOfRow,
    TrailCoveragesRow,
    TrailDeadPageRow,
    TrailDigestsOfChainRow,
    TrailDigestStateRow,
    TrailKeyRow,
    TrailObjectsKnownRow,
    TrailQueuesRow,
    TrailTasksWaitingRow,
    TrailVerificationsRow,
    WordsWantedRow,
)
from whence_common.clock import from_millis


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveredRegion:
    """How far the events of an account and region were read; milliseconds."""

    account_id: str
    region: str
    newest_at: int | None
    read_at: int | None
    failed_at: int | None
    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """A queue as it was when it was asked last; milliseconds."""

    url: str
    region: str
    asked_at: int | None
    waiting: int
    oldest_at: int | None
    failed_at: int | None
    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRead:
    """The recorded state of a chain of digest files; `verified_at` is when one of them was verified last."""

    chain: str
    state: str
    reason: str
    since: str
    ledger_index: int
    verified_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailChange:
    """A call that changed what a trail records, or touched an instance."""

    name: str
    event_id: str
    account_id: str
    region: str
    at: str
    event_at: int
    doer: Mapping[str, Any]
    detail: str
    ledger_index: int

    def to_wire(self) -> dict[str, object]:
        return {
            "event": self.name,
            "event_id": self.event_id,
            "account_id": self.account_id,
            "region": self.region,
            "at": self.at,
            "by": self.doer,
            "detail": self.detail or None,
            "ledger_index": self.ledger_index,
        }


def event_ids(rows: Iterable[CloudEventsKnownRow | SessionsKnownRow]) -> frozenset[str]:
    """Return the ids of events that are recorded."""
    return frozenset(row["event_id"] for row in rows)


def wanted_words(rows: Iterable[WordsWantedRow]) -> frozenset[str]:
    """Return the words by which recorded entries refer to sessions."""
    return frozenset(row["word"] for row in rows)


def kept_sessions(rows: Iterable[SessionsKeptRow]) -> list[dict[str, Any]]:
    """Return the members of the entries that kept sessions become."""
    return [msgspec.json.decode(row["content"], type=dict[str, Any]) for row in rows]


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


def covered_regions(rows: Iterable[TrailCoveragesRow | TrailCoveragesOfRow]) -> list[CoveredRegion]:
    return [
        CoveredRegion(
            account_id=row["account_id"], region=row["region"], newest_at=row["newest_at"], read_at=row["read_at"],
            failed_at=row["failed_at"], failure=row["failure"],
        )
        for row in rows
    ]  # fmt: skip


def queue_states(rows: Iterable[TrailQueuesRow]) -> list[QueueState]:
    return [
        QueueState(
            url=row["url"], region=row["region"], asked_at=row["asked_at"], waiting=row["waiting"],
            oldest_at=row["oldest_at"], failed_at=row["failed_at"], failure=row["failure"],
        )
        for row in rows
    ]  # fmt: skip


def chains(
    stated: Iterable[TrailVerificationsRow], read: Iterable[TrailChainsReadRow]
) -> dict[tuple[str, str], list[ChainRead]]:
    """Return the chains of each account and region."""
    verified_at = {(row["account_id"], row["region"], row["chain"]): row["verified_at"] for row in read}
    found: defaultdict[tuple[str, str], list[ChainRead]] = defaultdict(list)
    for row in stated:
        found[row["account_id"], row["region"]].append(
            ChainRead(
                chain=row["chain"], state=row["state"], reason=row["reason"], since=row["observed_at"],
                ledger_index=row["ledger_index"],
                verified_at=verified_at.get((row["account_id"], row["region"], row["chain"])),
            )
        )  # fmt: skip
    return found


def trail_changes(rows: Iterable[TrailChangesRow]) -> dict[tuple[str, str], list[TrailChange]]:
    """Return the newest changes of what the trails of each account and region record."""
    found: defaultdict[tuple[str, str], list[TrailChange]] = defaultdict(list)
    for row in rows:
        found[row["account_id"], row["region"]].append(event_shown(row))
    return found


def event_shown(row: TrailChangesRow | EventsOfInstanceRow) -> TrailChange:
    return TrailChange(
        name=row["name"], event_id=row["event_id"], account_id=row["account_id"], region=row["region"],
        at=from_millis(row["event_at"]), event_at=row["event_at"], doer=msgspec.json.decode(row["doer"]),
        detail=row["detail"], ledger_index=row["ledger_index"],
    )  # fmt: skip
