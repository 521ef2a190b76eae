"""Rows that only the check reads, as values. Pure."""

from __future__ import annotations

from whence_aggregator.queries.audit import DumpCheckpointRow, DumpTileRow, DumpUnseenRow


def stored_tile(row: DumpTileRow) -> tuple[int, int, bytes]:
    """Return level, number and hashes of a tile."""
    return row["level"], row["number"], bytes(row["hashes"])


def checkpoint(row: DumpCheckpointRow) -> tuple[int | None, str]:
    """Return the size that a checkpoint's row states, and its note."""
    return row["size"], row["note"]


def unseen(row: DumpUnseenRow) -> str:
    """Return the id of an instance that made statements, and of which no time is kept."""
    return row["instance_id"]
