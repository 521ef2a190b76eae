"""Lifecycles of an application's instances: CloudTrail's events about them, and the user data that they sent."""

from __future__ import annotations

from whence_aggregator.fullstop.rows import lifecycles
from whence_aggregator.ports import Database
from whence_aggregator.queries.fullstop import FULLSTOP_LIFECYCLES
from whence_common.errors import InputError

ROWS_READ_MAX = 20_000


class Lifecycles:
    """Reads lifecycles."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rows(self, application_id: str, version: str | None) -> list[dict[str, object]]:
        """Return what started, stopped and ended instances of an application, or of one version, in order of time.

        Raises InputError if there are more than ROWS_READ_MAX.
        """
        asked = FULLSTOP_LIFECYCLES.bind(
            {"application_id": application_id, "version": version, "limit": ROWS_READ_MAX + 1}
        )
        rows = await self._database.fetch(asked)
        if len(rows) > ROWS_READ_MAX:
            raise InputError(
                "lifecycles-too-many", f"the application has more than {ROWS_READ_MAX} events",
                fix="ask for one version: /api/lifecycles/applications/NAME/versions/VERSION",
            )  # fmt: skip
        return lifecycles(rows, application_id)
