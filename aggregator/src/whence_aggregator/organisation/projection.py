"""The rows that entries about the organisation mean. Nothing is read: each entry states all that its rows need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from whence_aggregator.organisation.changes import ACCOUNT, MEMBERS, MERGED, READ, TEAM
from whence_aggregator.organisation.values import ACTIVE
from whence_aggregator.queries.compliance import UNJUDGE_EVERY, UNJUDGE_IN_ACCOUNT
from whence_aggregator.queries.organisation import (
    ADD_ACCOUNT_REVISION,
    ADD_ORGANISATION_READ,
    ADD_TEAM_MEMBERS,
    ADD_TEAM_NAME,
    ADD_TEAM_REVISION,
    AddAccountRevisionParameters,
    AddOrganisationReadParameters,
    AddTeamMembersParameters,
    AddTeamNameParameters,
    AddTeamRevisionParameters,
)
from whence_aggregator.queries.query import BoundCommand

LEFT, HELD, INHERITED = 0, 1, 2
"""How a name leads to a team: it did before, it does, or it led to another that went into this one."""
OrganisationEntries = Sequence[tuple[int, Mapping[str, Any]]]
"""Entries of one kind, each with its index."""


def writes(kind: str, entries: OrganisationEntries) -> list[BoundCommand]:
    """Return what entries of one kind write."""
    return _WRITES[kind](entries)


def _teams(entries: OrganisationEntries) -> list[BoundCommand]:
    return [
        ADD_TEAM_REVISION.bind([_revision(index, one, into="") for index, one in entries]),
        ADD_TEAM_NAME.bind([
            _name(index, one, name, one["team_id"], held)
            for index, one in entries
            for held, names in ((LEFT, one["left"]), (HELD, one["took"])) for name in names
        ]),
        UNJUDGE_EVERY.bind([{}]),
    ]  # fmt: skip


def _merges(entries: OrganisationEntries) -> list[BoundCommand]:
    return [
        ADD_TEAM_REVISION.bind([_revision(index, one, into=one["into"]) for index, one in entries]),
        ADD_TEAM_NAME.bind([
            _name(index, one, name, team_id, held)
            for index, one in entries
            for team_id, held, names in (
                (one["team_id"], LEFT, one["left"]), (one["into"], INHERITED, one["inherited"]),
            ) for name in names
        ]),
        UNJUDGE_EVERY.bind([{}]),
    ]  # fmt: skip


def _members(entries: OrganisationEntries) -> list[BoundCommand]:
    rows: list[AddTeamMembersParameters] = [
        {
            "source": one["source"],
            "team_id": one["team_id"],
            "ledger_index": index,
            "members": msgspec.json.encode(one["members"]).decode(),
        }
        for index, one in entries
    ]
    return [ADD_TEAM_MEMBERS.bind(rows)]


def _accounts(entries: OrganisationEntries) -> list[BoundCommand]:
    rows: list[AddAccountRevisionParameters] = [
        {
            "account_id": one["account_id"],
            "source": one["source"],
            "ledger_index": index,
            "change": one["change"],
            "active": int(one["change"] != "gone" and one["account"]["status"] == ACTIVE),
            "body": msgspec.json.encode(one["account"], order="deterministic").decode(),
            "observed_at": one["observed_at"],
        }
        for index, one in entries
    ]
    accounts = sorted({row["account_id"] for row in rows})
    return [ADD_ACCOUNT_REVISION.bind(rows), UNJUDGE_IN_ACCOUNT.bind([{"account_id": one} for one in accounts])]


def _reads(entries: OrganisationEntries) -> list[BoundCommand]:
    rows: list[AddOrganisationReadParameters] = [
        {
            "source": one["source"],
            "ledger_index": index,
            "teams": one["teams"],
            "accounts": one["accounts"],
            "observed_at": one["observed_at"],
        }
        for index, one in entries
    ]
    return [ADD_ORGANISATION_READ.bind(rows)]


def _revision(index: int, one: Mapping[str, Any], *, into: str) -> AddTeamRevisionParameters:
    team = one["team"]
    return {
        "source": one["source"],
        "team_id": one["team_id"],
        "ledger_index": index,
        "change": one["change"],
        "into_team": into,
        "spelled": team["spelled"],
        "team_name": team["name"],
        "aliases": msgspec.json.encode(team["aliases"]).decode(),
        "observed_at": one["observed_at"],
    }


def _name(index: int, one: Mapping[str, Any], name: str, team_id: str, held: int) -> AddTeamNameParameters:
    return {"name": name, "source": one["source"], "team_id": team_id, "ledger_index": index, "held": held}


_WRITES: Mapping[str, Callable[[OrganisationEntries], list[BoundCommand]]] = {
    TEAM: _teams,
    MERGED: _merges,
    MEMBERS: _members,
    ACCOUNT: _accounts,
    READ: _reads,
}
