"""The applications that a team owned at a moment, by the application registry."""

from __future__ import annotations

from collections.abc import Collection

from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.queries.applications import APPLICATIONS_OWNED
from whence_aggregator.queries.query import array
from whence_aggregator.trace.rows import application_ids


async def owned_by(database: Database, team: str, *, as_written: bool, past: int) -> list[str]:
    """Return the ids of the applications whose newest revision before the bound `past` names the team.

    It may do so by any name that leads to the team, unless only the one `as_written` counts.
    """
    teams = frozenset({team}) if as_written else await OrganisationDirectory(database).names_of(team, past=past)
    return await owned_as_written(database, teams, past=past)


async def owned_as_written(database: Database, teams: Collection[str], *, past: int) -> list[str]:
    """Return the ids of the applications whose newest revision before the bound `past` has one of these very names."""
    rows = await database.fetch(APPLICATIONS_OWNED.bind({"teams": array(sorted(teams)), "past": past}))
    return application_ids(rows)
