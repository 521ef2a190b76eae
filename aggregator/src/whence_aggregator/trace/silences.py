"""The silences of an instance's agent, as the verdicts of the rule agent-silent state them in the ledger.

A silence begins with the last heartbeat, which the verdict names, and ends when the rule passes again or the instance
is gone. While nobody judges, nothing is recorded: a silence that ended before it was judged is in no entry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Literal

from whence_aggregator.ports import Database
from whence_aggregator.queries.trace import SILENCES_OF, SilencesOfRow
from whence_common.clock import parse_instant, to_instant

AGENT_SILENT = "agent-silent"
SILENT_SINCE = "silent since "
"""Begins the reason of a verdict about a silence; the instant follows."""
_INSTANT_CHARACTERS_MAX = 40
_ROWS_OF_SILENCE = 4
"""Unknown, failed and ended are three, and one more for a reason that changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One silence. `until` is None while it lasts; `proved` if a listing showed that the machine ran meanwhile."""

    since: str
    until: str | None
    ended: Literal["heard", "gone"] | None
    proved: bool
    ledger_index: int
    """The verdict that stated it first; `ended_index` is the one that ended it."""
    ended_index: int | None


def silent_since(verdict: str, reason: str) -> str:
    """Return since when an agent was silent by a verdict of agent-silent; empty if that is about no silence."""
    if verdict not in ("fail", "unknown") or not reason.startswith(SILENT_SINCE):
        return ""
    instant = reason.removeprefix(SILENT_SINCE)[:_INSTANT_CHARACTERS_MAX].replace(",", ";").partition(";")[0]
    try:
        return to_instant(parse_instant(instant))
    except ValueError:
        return ""


def silences(rows: Iterable[SilencesOfRow]) -> list[Silence]:
    """Return the silences by rows, the oldest first; a row that ends one whose begin is not among them is left out."""
    found: list[Silence] = []
    for row in rows:
        last = found[-1] if found and found[-1].until is None else None
        since, index = row["silent_since"], row["ledger_index"]
        if not since:
            if last is not None:
                ended: Literal["heard", "gone"] = "gone" if row["verdict"] == "gone" else "heard"
                found[-1] = replace(last, until=row["at"], ended=ended, ended_index=index)
        elif last is not None and last.since == since:
            found[-1] = replace(last, proved=last.proved or row["verdict"] == "fail")
        else:
            if last is not None:  # it was heard, and was silent again before it was judged
                found[-1] = replace(last, until=since, ended="heard", ended_index=index)
            proved = row["verdict"] == "fail"
            found.append(
                Silence(since=since, until=None, ended=None, proved=proved, ledger_index=index, ended_index=None)
            )
    return found


async def silences_of(database: Database, instance_id: str, *, past: int, limit: int) -> list[dict[str, object]]:
    """Return the newest silences that were recorded before the bound `past`, the newest first."""
    rows = await database.fetch(
        SILENCES_OF.bind({"instance_id": instance_id, "past": past, "limit": limit * _ROWS_OF_SILENCE})
    )
    return [asdict(one) for one in reversed(silences(reversed(rows)))][:limit]
