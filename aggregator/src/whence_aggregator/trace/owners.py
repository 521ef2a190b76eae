"""The applications that a team owned at a moment, by the application registry."""

from __future__ import annotations

from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.queries.applications import APPLICATIONS_ALL_AT, ApplicationsAllAtParameters
from whence_aggregator.trace.rows import last_application, owned

_PAGE_MAX = 100


async def owned_by(database: Database, team: str, *, as_written: bool, past: int) -> list[str]:
    """Return the ids of the applications whose newest revision before the bound `past` names the team.

    It may do so by any name that leads to the team, unless only the one `as_written` counts.
    """
    teams = frozenset({team}) if as_written else await OrganisationDirectory(database).names_of(team, past=past)
    found: list[str] = []
    after = ""
    while True:
        page: ApplicationsAllAtParameters = {"after": after, "past": past, "limit": _PAGE_MAX}
        rows = await database.fetch(APPLICATIONS_ALL_AT.bind(page))
        found += owned(rows, teams)
        if len(rows) < _PAGE_MAX:
            return found
        after = last_application(rows)
