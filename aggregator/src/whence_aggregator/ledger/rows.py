"""Rows of the log as values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypedDict

from whence_aggregator.ledger.tree import TileId
from whence_aggregator.queries.ledger import (
    BasesNeededRow,
    BodiesOfKindsRow,
    ClockAfterRow,
    ClockAtRow,
    ClockEntryAtRow,
    ClockPastRow,
    ClockRangeRow,
    DerivationDueRow,
    EntriesAtRow,
    EntriesFromRow,
    EntriesOfKindRow,
    FirstClockRow,
    LastClockRow,
    LastIndexRow,
    NewestCheckpointRow,
    PrunableRow,
    RemovedAmongRow,
    TilesOfLevelRow,
)
from whence_common.clock import from_millis
from whence_common.merkle import Tile

_LONG_AGO = -(10**18)


class _Body(TypedDict):
    ledger_index: int
    body: bytes | None
    base_body: bytes | None


@dataclass(frozen=True, slots=True)
class PackedEntry:
    """The bytes of an entry as they are stored: packed against those of its base. `body` is None once pruned."""

    ledger_index: int
    body: bytes | None
    base_body: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRecord:
    """The row of an entry: its kind and the head of its digest, beside its bytes."""

    ledger_index: int
    kind: str
    digest_head: int
    packed: PackedEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockState:
    """The newest clock of the log, in milliseconds; long ago in an empty log. `key_index` is the newest `log-key`."""

    recorded_at: int = _LONG_AGO
    latest: int = _LONG_AGO
    key_index: int | None = None


def packed(row: _Body) -> PackedEntry:
    return PackedEntry(row["ledger_index"], row["body"], row["base_body"])


def record(row: EntriesFromRow | EntriesOfKindRow | BodiesOfKindsRow) -> EntryRecord:
    return EntryRecord(
        ledger_index=row["ledger_index"], kind=row["kind"], digest_head=row["digest_head"], packed=packed(row)
    )


def last_index(rows: Sequence[LastIndexRow]) -> int:
    """Return the index of the last entry; -1 in an empty log."""
    return rows[0]["last_index"]


def due_entries(rows: Sequence[DerivationDueRow]) -> range | None:
    """Return the entries that are yet to be read for a table that came after them; None when there are none."""
    return range(rows[0]["following"], rows[0]["past"]) if rows else None


def clock_entries(rows: Sequence[Sequence[ClockEntryAtRow]]) -> set[int]:
    """Return the indexes of the clocks by which entries were recorded."""
    return {row["ledger_index"] for some in rows for row in some}


def clock_state(rows: Sequence[LastClockRow]) -> ClockState:
    if not rows:
        return ClockState()
    (row,) = rows
    return ClockState(recorded_at=row["recorded_at"], latest=row["latest"], key_index=row["key_index"])


def recorded_at(rows: Sequence[ClockAtRow]) -> str:
    """Return when an entry was recorded; empty where the log has no clock before it."""
    return from_millis(rows[0]["recorded_at"]) if rows else ""


def began_at(rows: Sequence[FirstClockRow]) -> str:
    """Return when the log began; empty for an empty log."""
    return from_millis(rows[0]["recorded_at"]) if rows else ""


def bound(rows: Sequence[ClockPastRow]) -> int | None:
    """Return the first clock that is later than an instant; None when there is no such entry."""
    return rows[0]["ledger_index"] if rows else None


def period(rows: Sequence[ClockRangeRow]) -> tuple[int, int] | None:
    """Return the first and the last clock in a period; None when it has no clock."""
    (row,) = rows
    first, last = row["first"], row["last"]
    return (first, last) if first is not None and last is not None else None


def clock_after(rows: Sequence[ClockAfterRow]) -> int | None:
    return rows[0]["ledger_index"]


def stored_tiles(rows: Sequence[TilesOfLevelRow]) -> Iterator[tuple[TileId, Tile]]:
    for row in rows:
        yield (row["level"], row["number"]), Tile.from_bytes(bytes(row["hashes"]))


def layouts(rows: Sequence[EntriesAtRow]) -> dict[int, bytes]:
    """Return the stored bytes of entries by index; pruned entries are left out."""
    return {row["ledger_index"]: row["body"] for row in rows if row["body"] is not None}


def checkpoint(row: NewestCheckpointRow) -> tuple[int, str]:
    """Return the size of a checkpoint's tree, and its note."""
    return row["size"], row["note"]


def bases(rows: Sequence[BasesNeededRow]) -> set[int | None]:
    return {row["base"] for row in rows}


def removed_entries(rows: Sequence[RemovedAmongRow]) -> set[int]:
    return {row["ledger_index"] for row in rows}


def prunable(rows: Sequence[PrunableRow]) -> list[int]:
    return [row["ledger_index"] for row in rows]
