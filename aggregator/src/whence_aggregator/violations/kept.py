"""All violations in brief: those of now, kept in memory and brought up to date for each list, and those of a moment."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

from whence_aggregator.ports import Database
from whence_aggregator.queries.violations import VIOLATIONS_MOVED, VIOLATIONS_THEN
from whence_aggregator.trace.moment import Moment
from whence_aggregator.violations.brief import BriefViolation
from whence_aggregator.violations.brief_rows import brief, newest_moved

PAGE = 5_000
"""Rows of one query."""


_MERGED_MAX = 100
"""Above, sorting all again is faster."""


class KeptViolations:
    """Reads what moved since the last list. Each step is an entry, and entries become visible in their order."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_id: dict[str, BriefViolation] = {}
        self._sorted: Sequence[BriefViolation] = ()
        self._newest = -1

    async def of(self, moment: Moment) -> Sequence[BriefViolation]:
        """Return the violations at a moment, in the order of ids."""
        return await self.current() if moment.is_now else await self._then(moment.past)

    async def current(self) -> Sequence[BriefViolation]:
        """Return the violations of now, in the order of ids."""
        after = self._newest
        while True:
            rows = await self._database.fetch(VIOLATIONS_MOVED.bind({"after": after, "limit": PAGE}))
            moved = list[BriefViolation]()
            for one in map(brief, rows):
                known = self._by_id.get(one.id)
                if known is None or known.ledger_index < one.ledger_index:  # another list may have read newer ones
                    self._by_id[one.id] = one
                    moved.append(one)
            if rows:
                after = newest_moved(rows)
                self._newest = max(self._newest, after)
            if moved:
                self._sorted = _merged(self._sorted, moved) if self._sorted and len(moved) <= _MERGED_MAX else ()
            if len(rows) < PAGE:
                break
        if len(self._sorted) != len(self._by_id):
            self._sorted = [one for _, one in sorted(self._by_id.items())]
        return self._sorted

    async def _then(self, past: int) -> Sequence[BriefViolation]:
        found: list[BriefViolation] = []
        while True:
            after = found[-1].id if found else ""
            rows = await self._database.fetch(VIOLATIONS_THEN.bind({"past": past, "after": after, "limit": PAGE}))
            found += map(brief, rows)
            if len(rows) < PAGE:
                return found


def _merged(known: Sequence[BriefViolation], moved: Sequence[BriefViolation]) -> Sequence[BriefViolation]:
    """Return violations in the order of ids, with those that moved in place of what they were."""
    found = list(known)
    for one in moved:
        place = bisect_left(found, one.id, key=attrgetter("id"))
        if place < len(found) and found[place].id == one.id:
            found[place] = one
        else:
            found.insert(place, one)
    return found
