"""Whether there is an application, team or account of a name at all: what nobody knows has no changes to list."""

from __future__ import annotations

from whence_aggregator.ports import Database, NotFound
from whence_aggregator.queries.changes import ACCOUNT_KNOWN, APPLICATION_KNOWN, TEAM_KNOWN

_SOURCES = {
    "application": (APPLICATION_KNOWN, "it is not registered, and no instance reported it"),
    "team": (TEAM_KNOWN, "it owns and owned no application, and no source of teams has it"),
    "account": (ACCOUNT_KNOWN, "no instance of it reported, and no source of accounts and no inventory has it"),
}


async def check_names(database: Database, **named: str | None) -> None:
    """Raise NotFound for the first application, team or account that is in no entry."""
    for kind, name in named.items():
        query, why = _SOURCES[kind]
        if name is not None and not await database.fetch(query.bind({"name": name})):
            raise NotFound(f"{kind}-unknown", f"{kind} {name} is not known: {why}", fix="check the spelling")
