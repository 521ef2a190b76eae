"""Teams and accounts as they are asked for, now or as of an entry of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from whence_aggregator.organisation.changes import OVER
from whence_aggregator.organisation.names import folded, is_team_id
from whence_aggregator.organisation.resolving import (
    Ambiguous,
    FoundTeam,
    KnownAccount,
    Resolved,
    Said,
    TeamNames,
    accounts_of,
)
from whence_aggregator.organisation.values import SOURCES
from whence_aggregator.ports import Conflict, Database, NotFound
from whence_aggregator.queries.organisation import (
    ACCOUNT_HISTORY,
    ACCOUNT_IDS_AT,
    ACCOUNT_REVISIONS_AT,
    ORGANISATION_READS_AT,
    ORGANISATION_SOURCES,
    TEAM_HISTORY,
    TEAM_IDS_AT,
    TEAM_MEMBERS_AT,
    TEAM_REVISIONS_AT,
    TEAMS_NAMED_AT,
    AccountHistoryRow,
    TeamHistoryRow,
    TeamMembersAtRow,
    TeamRevisionsAtRow,
)
from whence_aggregator.queries.query import array, together
from whence_common.clock import from_millis

HISTORY_MAX = 500
PAGE_MAX = 500
EVERY_ENTRY = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTeam:
    """A team as all its sources together state it."""

    team_id: str
    spelled: str
    name: str
    aliases: tuple[str, ...]
    over: str
    """Why no source states it any more: gone, merged or id-changed; empty for a team that is there."""
    into: str
    """The team that it was merged into."""
    members: tuple[str, ...] = field(repr=False)
    said: tuple[Said, ...]

    def to_wire(self) -> dict[str, object]:
        """Return the team without its members, for lists."""
        return {
            "team_id": self.team_id, "spelled": self.spelled, "name": self.name, "aliases": list(self.aliases),
            "status": self.over or "active", "into": self.into or None, "members": len(self.members),
            "sources": said_to_wire(self.said),
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """How a source's readings went."""

    source: str
    read_at: str | None
    """When the newest whole reading began."""
    failed_at: str | None
    failure: str
    notes: tuple[str, ...]

    def to_wire(self) -> dict[str, object]:
        failure = {"at": self.failed_at, "reason": self.failure} if self.failed_at is not None else None
        return {"source": self.source, "read_at": self.read_at, "failure": failure, "notes": list(self.notes)}


class Directory:
    """Reads teams and accounts. `past` bounds the entries that count."""

    def __init__(self, database: Database) -> None:
        self._database = database

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

    async def resolve(self, names: Sequence[str], *, past: int = EVERY_ENTRY) -> dict[str, Resolved]:
        """Return which team each name leads to."""
        wanted = sorted({folded(one) for one in names if is_team_id(one)})
        rows = await self._database.fetch(TEAMS_NAMED_AT.bind({"names": array(wanted), "past": past}))
        known = TeamNames(rows)
        return {one: known.resolve(one) for one in names}

    async def teams(self, *, after: str = "", limit: int = PAGE_MAX, past: int = EVERY_ENTRY) -> list[ShownTeam]:
        """Return a page of teams by id, those that are gone too."""
        rows = await self._database.fetch(TEAM_IDS_AT.bind({"after": after, "past": past, "limit": limit}))
        return await self._shown([row["team_id"] for row in rows], past)

    async def _shown(self, team_ids: Sequence[str], past: int) -> list[ShownTeam]:
        named = array(list(team_ids))
        revisions, members = await self._database.fetch_all(
            together(
                TEAM_REVISIONS_AT.bind({"team_ids": named, "past": past}),
                TEAM_MEMBERS_AT.bind({"team_ids": named, "past": past}),
            )
        )
        return [
            _team(
                [row for row in revisions if row["team_id"] == team_id],
                [row for row in members if row["team_id"] == team_id],
            )
            for team_id in team_ids
        ]

    async def team_history(self, team_id: str, *, past: int = EVERY_ENTRY) -> list[dict[str, object]]:
        """Return what became of a team, and of those that went into it, the newest first."""
        rows = await self._database.fetch(TEAM_HISTORY.bind({"team_id": team_id, "past": past, "limit": HISTORY_MAX}))
        return [_team_change(row) for row in rows]

    async def accounts(self, account_ids: Sequence[str], *, past: int = EVERY_ENTRY) -> dict[str, KnownAccount]:
        """Return those of the accounts that a source has stated."""
        wanted = ACCOUNT_REVISIONS_AT.bind({"account_ids": array(list(account_ids)), "past": past})
        return accounts_of(await self._database.fetch(wanted))

    async def account_ids(self, *, after: str = "", limit: int = PAGE_MAX, past: int = EVERY_ENTRY) -> list[str]:
        """Return a page of accounts that any source has stated."""
        rows = await self._database.fetch(ACCOUNT_IDS_AT.bind({"after": after, "past": past, "limit": limit}))
        return [row["account_id"] for row in rows]

    async def account_history(self, account_id: str, *, past: int = EVERY_ENTRY) -> list[dict[str, object]]:
        """Return what became of an account, the newest first."""
        wanted = ACCOUNT_HISTORY.bind({"account_id": account_id, "past": past, "limit": HISTORY_MAX})
        return [_account_change(row) for row in await self._database.fetch(wanted)]

    async def sources(self) -> list[SourceState]:
        """Return how the readings of each source went."""
        return [
            SourceState(
                source=row["source"],
                read_at=from_millis(row["read_at"]) if row["read_at"] is not None else None,
                failed_at=from_millis(row["failed_at"]) if row["failed_at"] is not None else None,
                failure=row["failure"],
                notes=tuple(msgspec.json.decode(row["notes"])),
            )
            for row in await self._database.fetch(ORGANISATION_SOURCES.bind({}))
        ]

    async def read_sources(self, *, past: int = EVERY_ENTRY) -> Mapping[str, Said]:
        """Return which sources had been read whole."""
        rows = await self._database.fetch(ORGANISATION_READS_AT.bind({"past": past}))
        return {
            row["source"]: Said(source=row["source"], observed_at=row["observed_at"], ledger_index=row["ledger_index"])
            for row in rows
        }


def said_to_wire(said: Sequence[Said]) -> list[dict[str, object]]:
    return [{"source": one.source, "observed_at": one.observed_at, "ledger_index": one.ledger_index} for one in said]


def team_of(found: Resolved) -> str | None:
    """Return the id of a team that is there."""
    return found.team_id if isinstance(found, FoundTeam) and not found.over else None


def _team(revisions: Sequence[TeamRevisionsAtRow], members: Sequence[TeamMembersAtRow]) -> ShownTeam:
    ordered = sorted(revisions, key=lambda row: SOURCES.index(_source(row)))
    stated = [row for row in ordered if row["change"] not in OVER]
    newest = max(ordered, key=lambda row: row["ledger_index"])
    first = stated[0] if stated else newest
    live = {row["source"] for row in stated}
    held = {one for row in stated or ordered for one in msgspec.json.decode(row["aliases"])}
    return ShownTeam(
        team_id=first["team_id"],
        spelled=first["spelled"],
        name=first["team_name"],
        aliases=tuple(sorted(held)),
        over="" if stated else newest["change"],
        into="" if stated else newest["into_team"],
        members=tuple(sorted({
            one for row in members if row["source"] in live for one in msgspec.json.decode(row["members"])
        })),
        said=tuple(
            Said(source=row["source"], observed_at=row["observed_at"], ledger_index=row["ledger_index"])
            for row in stated or ordered
        ),
    )  # fmt: skip


def _source(row: Mapping[str, Any]) -> Any:
    return row["source"]


def _team_change(row: TeamHistoryRow) -> dict[str, object]:
    return {
        "team_id": row["team_id"], "source": row["source"], "change": row["change"], "into": row["into_team"] or None,
        "name": row["team_name"], "aliases": msgspec.json.decode(row["aliases"]), "observed_at": row["observed_at"],
        "ledger_index": row["ledger_index"],
    }  # fmt: skip


def _account_change(row: AccountHistoryRow) -> dict[str, object]:
    body = msgspec.json.decode(row["body"])
    return {
        "source": row["source"], "change": row["change"], **body, "observed_at": row["observed_at"],
        "ledger_index": row["ledger_index"],
    }  # fmt: skip
