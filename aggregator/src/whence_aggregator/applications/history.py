"""The history of an application: which field changed, when, by whom, from what to what."""

from __future__ import annotations

from typing import Any

from whence_aggregator.applications.rows import shown_revisions
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.queries.applications import APPLICATION_REVISIONS
from whence_aggregator.trace.moment import Moments
from whence_common.clock import Now
from whence_common.errors import InputError
from whence_common.identifiers import is_application_id

_NEWEST = 2**62


class ApplicationHistory:
    """Reads the history of applications."""

    def __init__(self, *, database: Database, now: Now) -> None:
        self._database = database
        self._moments = Moments(database=database, now=now)

    async def page(
        self, application_id: str, *, at: str | None, after: str, limit: int
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Return revisions with their changes, newest first, and the cursor of the next page. Raises NotFound."""
        if not is_application_id(application_id):
            raise NotFound("application-unknown", "application not found: the id is malformed")
        before = _parse_cursor(after) if after else _NEWEST
        past = (await self._moments.of(at)).past
        rows = await self._database.fetch(
            APPLICATION_REVISIONS.bind(
                {"application_id": application_id, "past": past, "before": before, "limit": limit + 1}
            )
        )
        if not rows and not after:
            raise NotFound("application-unknown", f"application not found: {application_id!r}")
        return shown_revisions(rows, limit)


def _parse_cursor(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 12:
        raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` from the previous page")
    return int(text)
