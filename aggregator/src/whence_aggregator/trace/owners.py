"""Which applications a team owned, as the application registry had it at a moment."""

from __future__ import annotations

import msgspec

from whence_aggregator.ports import Database
from whence_aggregator.queries.applications import APPLICATIONS_ALL_AT, ApplicationsAllAtParameters

_PAGE_MAX = 100


async def owned_by(database: Database, team_id: str, *, past: int) -> list[str]:
    """Return the ids of the applications whose newest revision before the bound `past` names the team."""
    owned: list[str] = []
    after = ""
    while True:
        page: ApplicationsAllAtParameters = {"after": after, "past": past, "limit": _PAGE_MAX}
        rows = await database.fetch(APPLICATIONS_ALL_AT.bind(page))
        owned += [
            row["application_id"] for row in rows if msgspec.json.decode(row["body"])["kio"]["team_id"] == team_id
        ]
        if len(rows) < _PAGE_MAX:
            return owned
        after = rows[-1]["application_id"]
