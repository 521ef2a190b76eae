"""Rows that only the check and the removal of bodies read, as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from whence_aggregator.queries.applications import RevisionsOfEntriesRow
from whence_aggregator.queries.audit import DumpCheckpointRow, DumpTileRow, DumpUnseenRow
from whence_aggregator.queries.collect import IndexesOfFactsRow


@dataclass(frozen=True, slots=True)
class RevisionPlace:
    """Whether a revision is its application's first, and its newest."""

    first: bool
    newest: bool


def stored_tile(row: DumpTileRow) -> tuple[int, int, bytes]:
    """Return level, number and hashes of a tile."""
    return row["level"], row["number"], bytes(row["hashes"])


def checkpoint(row: DumpCheckpointRow) -> tuple[int | None, str]:
    """Return the size in a checkpoint's row, and its note."""
    return row["size"], row["note"]


def unseen(row: DumpUnseenRow) -> str:
    """Return the id of an instance with statements but without a row in `last_seen`."""
    return row["instance_id"]


def fact_indexes(rows: Iterable[IndexesOfFactsRow]) -> list[int]:
    return [row["ledger_index"] for row in rows]


def revision_places(rows: Iterable[RevisionsOfEntriesRow]) -> dict[int, RevisionPlace]:
    """Return the place of each revision by its entry."""
    return {row["ledger_index"]: RevisionPlace(row["revision"] == 1, row["revision"] == row["newest"]) for row in rows}
