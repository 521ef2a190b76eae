"""The events that touched an instance before a moment: what it may be caused by, the newest first."""

from __future__ import annotations

from whence_aggregator.events.rows import TrailChange, event_shown
from whence_aggregator.ports import Database
from whence_aggregator.queries.events import EVENTS_OF_INSTANCE
from whence_aggregator.queries.query import EVERY_ENTRY
from whence_common.errors import InputError


class TouchingEvents:
    """Reads the events of an instance's own account."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, instance_id: str, *, past: int, before: int = EVERY_ENTRY, after: str, limit: int
    ) -> tuple[list[TrailChange], str | None]:
        """Return events that were recorded before the entry `past`, of before a time in milliseconds.

        Raises InputError for an invalid cursor.
        """
        at, _, index = after.partition("-")
        if after and not (at.isdecimal() and index.isdecimal() and len(after) <= 38):
            raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` of the previous page")
        rows = await self._database.fetch(
            EVENTS_OF_INSTANCE.bind(
                {
                    "instance_id": instance_id, "past": past, "before": before, "limit": limit + 1,
                    "after_at": min(int(at), EVERY_ENTRY) if after else EVERY_ENTRY,
                    "after": min(int(index), EVERY_ENTRY) if after else EVERY_ENTRY,
                }
            )
        )  # fmt: skip
        found = list(map(event_shown, rows))
        page = found[:limit]
        return page, f"{page[-1].event_at}-{page[-1].ledger_index}" if len(found) > limit else None
