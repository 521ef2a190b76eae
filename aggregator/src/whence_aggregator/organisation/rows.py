"""Rows of the organisation's tables as values. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from whence_aggregator.organisation.changes import OVER
from whence_aggregator.organisation.values import Account, Known, Team
from whence_aggregator.queries.organisation import (
    AccountIdsAtRow,
    AccountRevisionsAtRow,
    AccountsActiveRow,
    AccountsOfSourceRow,
    GroupsSeenRow,
    ListsWithMemberRow,
    MembersOfSourceRow,
    NamesOfSourceRow,
    NamesOfTeamRow,
    OrganisationReadBegunRow,
    OrganisationReadsAtRow,
    TeamIdsAtRow,
    TeamMembersReplacedRow,
    TeamsNamedAtRow,
    TeamsOfSourceRow,
)
from whence_common.clock import from_millis


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldName:
    """That a name leads to a team, as one source states it, with the team's newest revision."""

    name: str
    source: str
    team_id: str
    held: int
    """One of LEFT, HELD and INHERITED (projection.py)."""
    ledger_index: int
    over: bool
    team_name: str
    revised_index: int
    observed_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedAccount:
    """The newest revision of an account by one source. `over`: it states the account no more."""

    source: str
    over: bool
    account: Account
    observed_at: str
    ledger_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeReading:
    """The newest reading of a source that was whole, and changed something."""

    source: str
    observed_at: str
    ledger_index: int
    teams: int
    accounts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenGroup:
    """A team that the groups of a verified token named."""

    team_id: str
    spelled: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedMember:
    """A list of a team's members, and the one that replaced it, if any."""

    source: str
    team_id: str
    ledger_index: int
    recorded_at: str
    next_index: int | None
    next_at: str | None
    members: frozenset[str] = field(repr=False)


def whole_readings(rows: Sequence[OrganisationReadsAtRow]) -> dict[str, WholeReading]:
    """Return them by source."""
    return {
        row["source"]: WholeReading(
            source=row["source"],
            observed_at=row["observed_at"],
            ledger_index=row["ledger_index"],
            teams=row["teams"],
            accounts=row["accounts"],
        )
        for row in rows
    }


def held_names(rows: Iterable[TeamsNamedAtRow]) -> list[HeldName]:
    return [
        HeldName(
            name=row["name"], source=row["source"], team_id=row["team_id"], held=row["held"],
            ledger_index=row["ledger_index"], over=row["change"] in OVER, team_name=row["team_name"],
            revised_index=row["revised_index"], observed_at=row["observed_at"],
        )
        for row in rows
    ]  # fmt: skip


def stated_accounts(rows: Iterable[AccountRevisionsAtRow]) -> list[StatedAccount]:
    return [
        StatedAccount(
            source=row["source"],
            over=row["change"] in OVER,
            account=Account.from_wire(row["account_id"], msgspec.json.decode(row["body"])),
            observed_at=row["observed_at"],
            ledger_index=row["ledger_index"],
        )
        for row in rows
    ]


def known(
    source: str,
    teams: Iterable[TeamsOfSourceRow],
    names: Iterable[NamesOfSourceRow],
    members: Iterable[MembersOfSourceRow],
    accounts: Iterable[AccountsOfSourceRow],
    reads: Iterable[OrganisationReadsAtRow],
) -> Known:
    """Return what is known from a source."""
    led: dict[str, set[str]] = {}
    for row in names:
        led.setdefault(row["team_id"], set()).add(row["name"])
    return Known(
        teams={one["team_id"]: _team(one) for one in teams if one["change"] not in OVER},
        names={team_id: frozenset(found) for team_id, found in led.items()},
        members={one["team_id"]: tuple(msgspec.json.decode(one["members"])) for one in members},
        accounts={
            one["account_id"]: Account.from_wire(one["account_id"], msgspec.json.decode(one["body"]))
            for one in accounts
            if one["change"] not in OVER
        },
        read=any(one["source"] == source for one in reads),
    )


def begun_at(row: OrganisationReadBegunRow) -> int:
    return row["begun_at"]


def active(rows: Iterable[AccountsActiveRow]) -> frozenset[str]:
    return frozenset(row["account_id"] for row in rows)


def team_ids(rows: Iterable[TeamIdsAtRow]) -> list[str]:
    return [row["team_id"] for row in rows]


def names(rows: Iterable[NamesOfTeamRow]) -> list[str]:
    return [row["name"] for row in rows]


def account_ids(rows: Iterable[AccountIdsAtRow]) -> list[str]:
    return [row["account_id"] for row in rows]


def seen_groups(rows: Iterable[GroupsSeenRow]) -> list[SeenGroup]:
    return [SeenGroup(team_id=row["team_id"], spelled=row["spelled"]) for row in rows]


def listed_members(rows: Iterable[ListsWithMemberRow]) -> list[ListedMember]:
    return [
        ListedMember(
            source=row["source"], team_id=row["team_id"], ledger_index=row["ledger_index"],
            recorded_at=_instant(row["recorded_at"]) or "", next_index=row["next_index"],
            next_at=_instant(row["next_at"]), members=frozenset(msgspec.json.decode(row["members"])),
        )
        for row in rows
    ]  # fmt: skip


def _instant(millis: int | None) -> str | None:
    return from_millis(millis) if millis is not None else None


def newest_members(rows: Iterable[TeamMembersReplacedRow]) -> set[int]:
    """Return the entries that no newer one has replaced."""
    return {row["ledger_index"] for row in rows if row["ledger_index"] == row["newest"]}


def _team(row: TeamsOfSourceRow) -> Team:
    stated = {"spelled": row["spelled"], "name": row["team_name"], "aliases": msgspec.json.decode(row["aliases"])}
    return Team.from_wire(row["team_id"], stated)
