"""Rows that only the check reads as values. Pure."""

from __future__ import annotations

from whence_aggregator.queries.audit import DumpCheckpointRow, DumpTileRow, DumpUnseenRow


def stored_tile(row: DumpTileRow) -> tuple[int, int, bytes]:
    """Return level, number and hashes of a tile."""
    return row["level"], row["number"], bytes(row["hashes"])


def checkpoint(row: DumpCheckpointRow) -> tuple[int | None, str]:
    """Return the size in a checkpoint's row, and its note."""
    return row["size"], row["note"]


def unseen(row: DumpUnseenRow) -> str:
    """Return the id of an instance with statements but without a row in `last_seen`."""
    return row["instance_id"]
