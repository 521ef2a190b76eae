"""Converts rows of token uses to values. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.queries.callers import TokenUsesRow


def uses(rows: Sequence[TokenUsesRow]) -> dict[str, str]:
    """Return the last use of each token by its hash."""
    return {row["token"]: row["used_at"] for row in rows}
