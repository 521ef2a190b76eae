"""Rows of teams and accounts as they are shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from whence_aggregator.organisation.changes import OVER
from whence_aggregator.organisation.resolving import StatedBy
from whence_aggregator.organisation.values import SOURCES
from whence_aggregator.queries.organisation import (
    AccountHistoryRow,
    OrganisationSourcesRow,
    TeamHistoryRow,
    TeamMembersAtRow,
    TeamRevisionsAtRow,
)
from whence_common.clock import from_millis

_ORDER = [str(one) for one in SOURCES]


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
    said: tuple[StatedBy, ...]

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


def said_to_wire(said: Sequence[StatedBy]) -> list[dict[str, object]]:
    return [{"source": one.source, "observed_at": one.observed_at, "ledger_index": one.ledger_index} for one in said]


def source_state(row: OrganisationSourcesRow) -> SourceState:
    return SourceState(
        source=row["source"],
        read_at=from_millis(row["read_at"]) if row["read_at"] is not None else None,
        failed_at=from_millis(row["failed_at"]) if row["failed_at"] is not None else None,
        failure=row["failure"],
        notes=tuple(msgspec.json.decode(row["notes"])),
    )


def shown_teams(
    team_ids: Sequence[str], revisions: Sequence[TeamRevisionsAtRow], members: Sequence[TeamMembersAtRow]
) -> list[ShownTeam]:
    """Join the rows of teams, in the order of their ids."""
    revised: dict[str, list[TeamRevisionsAtRow]] = {}
    for row in revisions:
        revised.setdefault(row["team_id"], []).append(row)
    listed: dict[str, list[TeamMembersAtRow]] = {}
    for one in members:
        listed.setdefault(one["team_id"], []).append(one)
    return [shown_team(revised[one], listed.get(one, ())) for one in team_ids]


def shown_team(revisions: Sequence[TeamRevisionsAtRow], members: Sequence[TeamMembersAtRow]) -> ShownTeam:
    ordered = sorted(revisions, key=lambda row: _ORDER.index(row["source"]))
    stated = [row for row in ordered if row["change"] not in OVER]
    newest = max(ordered, key=lambda row: (row["into_team"] != "", row["ledger_index"]))
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
            StatedBy(source=row["source"], observed_at=row["observed_at"], ledger_index=row["ledger_index"])
            for row in stated or ordered
        ),
    )  # fmt: skip


def team_change(row: TeamHistoryRow) -> dict[str, object]:
    return {
        "team_id": row["team_id"], "source": row["source"], "change": row["change"], "into": row["into_team"] or None,
        "name": row["team_name"], "aliases": msgspec.json.decode(row["aliases"]), "observed_at": row["observed_at"],
        "ledger_index": row["ledger_index"],
    }  # fmt: skip


def account_change(row: AccountHistoryRow) -> dict[str, object]:
    body = msgspec.json.decode(row["body"])
    return {
        "source": row["source"], "change": row["change"], **body, "observed_at": row["observed_at"],
        "ledger_index": row["ledger_index"],
    }  # fmt: skip
