"""Rows of silences as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from whence_aggregator.queries.trace import SilencesOfRow


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
