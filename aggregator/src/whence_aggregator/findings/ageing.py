"""What retention means for findings: those that were fixed long ago go, with their reports and confirmations.

A finding goes whole, once the row that closed it is old. Those about an image that a scanner passed stay: rules judge
by them. The removal is repeated when the log is replayed, from the entry that records it.
"""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.findings.rows import needed_entries, some_stale
from whence_aggregator.ports import Database
from whence_aggregator.projections.pruned_findings import removal_writes
from whence_aggregator.queries.findings import FINDINGS_NEEDED, FINDINGS_STALE
from whence_aggregator.queries.query import BoundCommand, array


class FindingsRemoved:
    """What the removal of old bodies means for the rows that are derived from them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def needed(self, indexes: Sequence[int]) -> set[int]:
        """Return the entries that state what stays."""
        if not indexes:
            return set()
        asked = FINDINGS_NEEDED.bind({"indexes": array(list(indexes)), "past": max(indexes) + 1})
        return needed_entries(await self._database.fetch(asked))

    async def is_stale(self, past: int) -> bool:
        """Return whether findings that were fixed before an entry are still there."""
        return some_stale(await self._database.fetch(FINDINGS_STALE.bind({"past": past})))

    def removes(self, indexes: Sequence[int], past: int) -> Sequence[BoundCommand]:
        return removal_writes(past)
