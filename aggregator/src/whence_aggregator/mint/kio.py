"""What Kio's register states of an application whose credentials are minted."""

from __future__ import annotations

from whence_aggregator.applications.entries import newest
from whence_aggregator.mint.values import KioStanding
from whence_aggregator.ports import Database


class RegisteredApplications:
    """Reads applications as they were written last. Raises StorageUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, application_id: str) -> KioStanding | None:
        """Return what is registered; None: no application has this id."""
        draft = (await newest(self._database, application_id)).draft
        if draft is None:
            return None
        return KioStanding(name=str(draft.kio["name"]), team_id=draft.team, is_active=bool(draft.kio["active"]))
