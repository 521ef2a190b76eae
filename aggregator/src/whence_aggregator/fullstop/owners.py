"""The team that answers for a violation: the application's, else the account's."""

from __future__ import annotations

from typing import Protocol

from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.listing import owned
from whence_aggregator.ports import Database
from whence_aggregator.queries.query import EVERY_ENTRY, array
from whence_aggregator.queries.trace import APPLICATIONS_AT
from whence_aggregator.trace.rows import applications


class Owners(Protocol):
    async def team_of(self, application_id: str, account_id: str) -> str | None:
        """Return the team that owns an application, else an account; None if neither is known."""


class StoredOwners:
    """Owners by the application registry and the organisation's sources."""

    def __init__(self, *, database: Database, directory: OrganisationDirectory) -> None:
        self._database = database
        self._directory = directory

    async def team_of(self, application_id: str, account_id: str) -> str | None:
        if application_id:
            asked = APPLICATIONS_AT.bind({"application_ids": array([application_id]), "past": EVERY_ENTRY})
            found = applications(await self._database.fetch(asked)).get(application_id)
            team = str(found.kio.get("team_id") or "") if found is not None else ""
            if team:
                return team
        accounts = await owned(self._directory, [account_id]) if account_id else []
        return next((one.owner for one in accounts), None)
