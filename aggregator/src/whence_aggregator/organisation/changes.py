"""How a reading differs from what is known, as events; and what is known after them. Pure.

A partial reading adds and changes, and never takes away. A team that a complete reading lacks is gone, or was merged
into the one team that has its id among its aliases; where that team is new, its id was changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from whence_aggregator.organisation.values import Account, Known, Snapshot, Team

TEAM, MERGED, MEMBERS, ACCOUNT, READ = (
    "team", "team-merged", "team-members", "account", "organisation-read",
)  # fmt: skip
"""Kinds of entries."""
OVER = ("gone", "merged", "id-changed")
Kind = Literal["team", "team-merged", "team-members", "account", "organisation-read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """An entry to be appended: its kind, and its members but for when it was observed."""

    kind: Kind
    stated: Mapping[str, Any]


def differences(known: Known, snapshot: Snapshot) -> list[Change]:
    """Return what changed, in the order in which it is appended. Nothing changed: an empty list."""
    changes = [*_of_teams(known, snapshot), *_of_accounts(known, snapshot)]
    if snapshot.complete and (changes or not known.read):
        counts = {"teams": len(snapshot.teams), "accounts": len(snapshot.accounts)}
        changes.append(Change(kind="organisation-read", stated={"source": snapshot.source, **counts}))
    return changes


def _of_teams(known: Known, snapshot: Snapshot) -> Iterable[Change]:
    present = {team.team_id: team for team in snapshot.teams}
    for team in snapshot.teams:
        yield from _of_team(known.teams.get(team.team_id), team, snapshot.source)
        if team.members is not None and known.members.get(team.team_id) != team.members:
            yield _members(snapshot.source, team.team_id, team.members)
    if not snapshot.complete:
        return
    heirs_of: dict[str, list[Team]] = {}
    for team in snapshot.teams:
        for alias in team.aliases:
            heirs_of.setdefault(alias, []).append(team)
    for team_id in sorted(known.teams.keys() - present.keys() - snapshot.withheld):
        before = known.teams[team_id]
        base = {"source": snapshot.source, "team_id": team_id}
        if known.members.get(team_id):
            yield _members(snapshot.source, team_id, ())
        left = sorted(before.names)
        heirs = heirs_of.get(team_id, [])
        if len(heirs) != 1:
            yield Change(kind="team", stated={
                **base, "change": "gone", "team": before.to_wire(), "took": [], "left": left,
            })  # fmt: skip
            continue
        (heir,) = heirs
        how = "merged" if heir.team_id in known.teams else "id-changed"
        inherited = sorted(known.names.get(team_id, before.names) - heir.names)
        yield Change(kind="team-merged", stated={
            **base, "change": how, "into": heir.team_id, "team": before.to_wire(), "left": left, "inherited": inherited,
        })  # fmt: skip


def _of_team(before: Team | None, team: Team, source: str) -> Iterable[Change]:
    base = {"source": source, "team_id": team.team_id}
    if before is None or before.to_wire() != team.to_wire():
        held = before.names if before is not None else frozenset()
        change = "found" if before is None else "renamed" if before.name != team.name else "changed"
        yield Change(kind="team", stated={
            **base, "change": change, "team": team.to_wire(), "took": sorted(team.names - held),
            "left": sorted(held - team.names),
        })  # fmt: skip


def _members(source: str, team_id: str, members: Iterable[str]) -> Change:
    return Change(kind="team-members", stated={"source": source, "team_id": team_id, "members": list(members)})


def _of_accounts(known: Known, snapshot: Snapshot) -> Iterable[Change]:
    for stated in snapshot.accounts:
        before = known.accounts.get(stated.account_id)
        account = stated.after(before)
        if before != account:
            yield _account("found" if before is None else "changed", account, snapshot.source)
    if snapshot.complete:
        present = {one.account_id for one in snapshot.accounts}
        for account_id in sorted(known.accounts.keys() - present - snapshot.withheld):
            yield _account("gone", known.accounts[account_id], snapshot.source)


def _account(change: str, account: Account, source: str) -> Change:
    stated = {"source": source, "account_id": account.account_id, "change": change, "account": account.to_wire()}
    return Change(kind="account", stated=stated)


def applied(known: Known, changes: Iterable[Change]) -> Known:
    """Return what is known after changes: what the tables say once they are projected."""
    teams, names, accounts = dict(known.teams), dict(known.names), dict(known.accounts)
    members = dict(known.members)
    read = known.read
    for change in changes:
        stated = change.stated
        match change.kind:
            case "team" if stated["change"] == "gone":
                teams.pop(stated["team_id"])
            case "team":
                team = Team.from_wire(stated["team_id"], stated["team"])
                teams[team.team_id] = team
                names[team.team_id] = names.get(team.team_id, frozenset()) | team.names
            case "team-merged":
                teams.pop(stated["team_id"])
                names[stated["into"]] = names[stated["into"]] | set(stated["inherited"])
            case "team-members":
                members[stated["team_id"]] = tuple(stated["members"])
            case "account" if stated["change"] == "gone":
                accounts.pop(stated["account_id"])
            case "account":
                accounts[stated["account_id"]] = Account.from_wire(stated["account_id"], stated["account"])
            case _:
                read = True
    return Known(teams=teams, names=names, members=members, accounts=accounts, read=read)
