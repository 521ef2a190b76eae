"""Converts rows of token uses and of sessions to values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from whence_aggregator.queries.callers import (
    BrowserSessionRow,
    CountBrowserSessionsRow,
    TakeBrowserSessionRow,
    TokenUsesRow,
)
from whence_common.clock import parse_instant


def uses(rows: Sequence[TokenUsesRow]) -> dict[str, str]:
    """Return the last use of each token by its hash."""
    return {row["token"]: row["used_at"] for row in rows}


def sealed_session(row: BrowserSessionRow | TakeBrowserSessionRow) -> tuple[str, datetime]:
    """Return what is sealed of a browser's session, and when it ends."""
    return row["sealed"], parse_instant(row["ends_at"])


def counted(rows: Sequence[CountBrowserSessionsRow]) -> int:
    """Return the number that the one row states."""
    (row,) = rows
    return row["n"]
