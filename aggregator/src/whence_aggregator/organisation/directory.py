"""Teams and accounts as they are asked for, now or as of an entry of the ledger."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from whence_aggregator.organisation.directory_rows import (
    ShownTeam,
    SourceState,
    account_change,
    shown_teams,
    source_state,
    team_change,
)
from whence_aggregator.organisation.names import folded, is_team_id
from whence_aggregator.organisation.resolving import (
    Ambiguous,
    FoundTeam,
    KnownAccount,
    ResolvedTeam,
    TeamNames,
    accounts_of,
)
from whence_aggregator.organisation.rows import account_ids, held_names, names, stated_accounts, team_ids
from whence_aggregator.ports import Conflict, Database, NotFound
from whence_aggregator.queries.organisation import (
    ACCOUNT_HISTORY,
    ACCOUNT_IDS_AT,
    ACCOUNT_REVISIONS_AT,
    NAMES_OF_TEAM,
    ORGANISATION_SOURCES,
    TEAM_HISTORY,
    TEAM_IDS_AT,
    TEAM_MEMBERS_AT,
    TEAM_REVISIONS_AT,
    TEAMS_NAMED_AT,
)
from whence_aggregator.queries.query import EVERY_ENTRY, array, together

HISTORY_MAX = 500
PAGE_MAX = 500


class OrganisationDirectory:
    """Reads teams and accounts. `past` bounds the entries that count.

    With `sources`, names and accounts are resolved by what these sources state, and not by what others stated before.
    """

    def __init__(self, database: Database, sources: Collection[str] | None = None) -> None:
        self._database = database
        self._sources = frozenset(sources) if sources is not None else None

    async def team(self, name: str, *, past: int = EVERY_ENTRY) -> ShownTeam:
        """Return the team that a name leads to: its id, an alias, or what led to it before.

        Raises NotFound, or Conflict for a name that several teams have.
        """
        found = (await self.resolve([name], past=past))[name]
        if isinstance(found, Ambiguous):
            fix = f"ask for one of them by its id: {', '.join(found.teams)[:300]}"
            raise Conflict("team-ambiguous", f"{len(found.teams)} teams have the name {name!r}", fix=fix)
        if found is None:
            raise NotFound("team-unknown", "no source knows a team of this name")
        return (await self._shown([found.team_id], past))[0]

    async def resolve(self, names: Sequence[str], *, past: int = EVERY_ENTRY) -> dict[str, ResolvedTeam]:
        """Return which team each name leads to."""
        wanted = sorted({folded(one) for one in names if is_team_id(one)})
        rows = await self._database.fetch(TEAMS_NAMED_AT.bind({"names": array(wanted), "past": past}))
        known = TeamNames([one for one in held_names(rows) if self._counts(one.source)])
        return {one: known.resolve(one) for one in names}

    async def names_of(self, name: str, *, past: int = EVERY_ENTRY) -> frozenset[str]:
        """Return this name, and every other that leads to the same team: its id, aliases, and those of former teams."""
        found = (await self.resolve([name], past=past))[name]
        if not isinstance(found, FoundTeam):
            return frozenset({name})
        held = names(await self._database.fetch(NAMES_OF_TEAM.bind({"team_id": found.team_id, "past": past})))
        led = await self.resolve(held, past=past)
        same = {one for one in held if isinstance(team := led[one], FoundTeam) and team.team_id == found.team_id}
        return frozenset({name, found.team_id, *same})

    async def teams(self, *, after: str = "", limit: int = PAGE_MAX, past: int = EVERY_ENTRY) -> list[ShownTeam]:
        """Return a page of teams by id, those that are gone too."""
        rows = await self._database.fetch(TEAM_IDS_AT.bind({"after": after, "past": past, "limit": limit}))
        return await self._shown(team_ids(rows), past)

    async def _shown(self, wanted: Sequence[str], past: int) -> list[ShownTeam]:
        named = array(list(wanted))
        revisions, members = await self._database.fetch_all(
            together(
                TEAM_REVISIONS_AT.bind({"team_ids": named, "past": past}),
                TEAM_MEMBERS_AT.bind({"team_ids": named, "past": past}),
            )
        )
        return shown_teams(wanted, revisions, members)

    async def team_history(self, team_id: str, *, past: int = EVERY_ENTRY) -> list[dict[str, object]]:
        """Return what became of a team, and of those that went into it, the newest first."""
        rows = await self._database.fetch(TEAM_HISTORY.bind({"team_id": team_id, "past": past, "limit": HISTORY_MAX}))
        return list(map(team_change, rows))

    async def accounts(self, account_ids: Sequence[str], *, past: int = EVERY_ENTRY) -> dict[str, KnownAccount]:
        """Return those of the accounts that a source has stated."""
        wanted = ACCOUNT_REVISIONS_AT.bind({"account_ids": array(list(account_ids)), "past": past})
        rows = stated_accounts(await self._database.fetch(wanted))
        return accounts_of([one for one in rows if self._counts(one.source)])

    def _counts(self, source: str) -> bool:
        return self._sources is None or source in self._sources

    async def account_ids(self, *, after: str = "", limit: int = PAGE_MAX, past: int = EVERY_ENTRY) -> list[str]:
        """Return a page of accounts that any source has stated."""
        rows = await self._database.fetch(ACCOUNT_IDS_AT.bind({"after": after, "past": past, "limit": limit}))
        return account_ids(rows)

    async def account_history(self, account_id: str, *, past: int = EVERY_ENTRY) -> list[dict[str, object]]:
        """Return what became of an account, the newest first."""
        wanted = ACCOUNT_HISTORY.bind({"account_id": account_id, "past": past, "limit": HISTORY_MAX})
        return list(map(account_change, await self._database.fetch(wanted)))

    async def sources(self) -> list[SourceState]:
        """Return how the readings of each source went."""
        return list(map(source_state, await self._database.fetch(ORGANISATION_SOURCES.bind({}))))


def team_of(found: ResolvedTeam) -> str | None:
    """Return the id of a team that is there."""
    return found.team_id if isinstance(found, FoundTeam) and not found.over else None
