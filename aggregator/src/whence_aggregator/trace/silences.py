"""The silences of an instance's agent, as the verdicts of the rule agent-silent state them in the ledger.

A silence begins with the last heartbeat, which the verdict names, and ends when the rule passes again or the instance
is gone. While nobody judges, nothing is recorded: a silence that ended before it was judged is in no entry.
"""

from __future__ import annotations

from dataclasses import asdict

from whence_aggregator.ports import Database
from whence_aggregator.queries.trace import SILENCES_OF
from whence_aggregator.trace.silence_rows import silences
from whence_common.clock import parse_instant, to_instant

AGENT_SILENT = "agent-silent"
SILENT_SINCE = "silent since "
"""Begins the reason of a verdict about a silence; the instant follows."""
_INSTANT_CHARACTERS_MAX = 40
_ROWS_OF_SILENCE = 4
"""Unknown, failed and ended are three, and one more for a reason that changed."""


def silent_since(verdict: str, reason: str) -> str:
    """Return since when an agent was silent by a verdict of agent-silent; empty if that is about no silence."""
    if verdict not in ("fail", "unknown") or not reason.startswith(SILENT_SINCE):
        return ""
    instant = reason.removeprefix(SILENT_SINCE)[:_INSTANT_CHARACTERS_MAX].replace(",", ";").partition(";")[0]
    try:
        return to_instant(parse_instant(instant))
    except ValueError:
        return ""


async def silences_of(database: Database, instance_id: str, *, past: int, limit: int) -> list[dict[str, object]]:
    """Return the newest silences that were recorded before the bound `past`, the newest first."""
    rows = await database.fetch(
        SILENCES_OF.bind({"instance_id": instance_id, "past": past, "limit": limit * _ROWS_OF_SILENCE})
    )
    return [asdict(one) for one in reversed(silences(reversed(rows)))][:limit]
