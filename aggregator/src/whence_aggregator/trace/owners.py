"""The applications that a team owned at a moment, by the application registry."""

from __future__ import annotations

from whence_aggregator.ports import Database
from whence_aggregator.queries.applications import APPLICATIONS_ALL_AT, ApplicationsAllAtParameters
from whence_aggregator.trace.rows import last_application, owned

_PAGE_MAX = 100


async def owned_by(database: Database, team_id: str, *, past: int) -> list[str]:
    """Return the ids of the applications whose newest revision before the bound `past` names the team."""
    found: list[str] = []
    after = ""
    while True:
        page: ApplicationsAllAtParameters = {"after": after, "past": past, "limit": _PAGE_MAX}
        rows = await database.fetch(APPLICATIONS_ALL_AT.bind(page))
        found += owned(rows, team_id)
        if len(rows) < _PAGE_MAX:
            return found
        after = last_application(rows)
