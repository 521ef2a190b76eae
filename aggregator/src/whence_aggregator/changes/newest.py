"""The newest changes of production, the newest first, without reading the whole record."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from whence_aggregator.changes.production import ProductionChange
from whence_aggregator.changes.record import ChangeRecord, WantedChanges
from whence_aggregator.changes.rows import ReportedLately, combined, facets_of_newest, reported_lately
from whence_aggregator.ports import Conflict, Database
from whence_aggregator.queries.changes import FACETS_WHOLE, NEWEST_INSTANCES, NEWEST_OF_FACETS
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.trace import FACETS_OF_APPLICATIONS
from whence_aggregator.trace.found_rows import numbers

INSTANCES_LATELY_MAX = 200
"""Changes are searched for among these instances, the last that reported or whose life changed."""
ENTRIES_MAX = 5_000
"""How far back in the ledger the changes of one application are searched for."""
APPLICATIONS_MAX = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class NewestChanges:
    """Changes, the newest first. `left_out` are applications with more instances than are read."""

    changes: Sequence[dict[str, Any]]
    left_out: Sequence[str]


class NewestRecord:
    """Finds the newest changes of what runs."""

    def __init__(self, *, database: Database, record: ChangeRecord) -> None:
        self._database = database
        self._record = record

    async def page(self, wanted: WantedChanges, *, limit: int) -> NewestChanges:
        """Return at most `limit` changes. Raises StorageUnavailable."""
        applications = await self._record.applications(wanted)
        lately = await self._lately(applications)
        found: list[ProductionChange] = []
        left_out: list[str] = []
        for one in lately:
            if len(found) >= limit and found[limit - 1].ledger_index > one.newest:
                break
            first = max(one.since, one.newest - ENTRIES_MAX)
            asked = replace(wanted, application=one.application_id, team=None, first=first)
            try:
                found += await self._record.scanned(asked)
            except Conflict:
                left_out.append(one.application_id)
            found.sort(key=lambda change: change.ledger_index, reverse=True)
        return NewestChanges(changes=await self._record.shown(found[:limit]), left_out=left_out)

    async def _lately(self, applications: Collection[str] | None) -> list[ReportedLately]:
        """Return the applications whose instances reported last, the newest first."""
        limit = INSTANCES_LATELY_MAX
        if applications is None:
            asked = NEWEST_INSTANCES.bind({"limit": limit})
        else:
            owned = FACETS_OF_APPLICATIONS.bind({"applications": array(sorted(applications))})
            facets = numbers(await self._database.fetch(owned))
            asked = NEWEST_OF_FACETS.bind({"facets": array(facets), "limit": limit})
        (rows,) = await self._database.fetch_all(together(asked))
        wanted = FACETS_WHOLE.bind({"numbers": array(facets_of_newest(rows))})
        known = combined(await self._database.fetch(wanted))
        found = [one for one in reported_lately(rows, known, limit) if one.application_id]
        return [one for one in found if applications is None or one.application_id in applications][:APPLICATIONS_MAX]
