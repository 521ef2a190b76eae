"""The organisation as a YAML file: teams, accounts, and whose applications may run in an account of others. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Literal

import msgspec

from whence_aggregator.organisation.names import folded, is_member, is_team_id
from whence_aggregator.organisation.snapshots import StatedTeam, snapshot
from whence_aggregator.organisation.values import Account, Snapshot
from whence_common import settings_file
from whence_common.errors import one_line
from whence_common.identifiers import ACCOUNT_ID
from whence_common.settings_file import Wrong

FILE_BYTES_MAX = settings_file.SETTINGS_BYTES_MAX
_NAMED_CHARACTERS_MAX = 60
_WRONG_MAX = 100
"""Mistakes that are named at once: all of them are shown as the failure of the reading."""
_NAME_FIX = "use ASCII letters, digits, `.`, `_` and `-`, beginning and ending with a letter or digit"
_OWNER_FIX = "write the id or an alias of a team: ASCII letters, digits, `.`, `_` and `-`"
_MERGE_FIX = "remove the other team, so that the two merge, or the alias"
_MEMBER_FIX = "write the uid that the person signs in with: printable ASCII without spaces"


class TeamInFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A team. Its id never changes; what it was called before is among its aliases."""

    id: str
    name: str = ""
    aliases: list[str] = []
    members: list[str] | None = None


class AccountInFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account. `allows` names other teams whose applications may run in it."""

    id: str
    name: str = ""
    owner: str = ""
    allows: list[str] = []
    status: Literal["", "ACTIVE", "SUSPENDED", "CLOSED"] = ""


class OrganisationFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    teams: list[TeamInFile] = []
    accounts: list[AccountInFile] = []


def parse_organisation(content: bytes, *, name: str) -> Snapshot:
    """Read the file whole. Raises SettingsInvalid naming every place and what is wrong there."""
    least = "name teams or accounts at least"
    found = settings_file.read(
        content, OrganisationFile, name=name, least=least,
        judge=lambda stated: islice(_what_is_wrong(stated), _WRONG_MAX),
        nodes_max=settings_file.LISTING_NODES_MAX,
    ).settings  # fmt: skip
    return snapshot(
        "file",
        teams=[StatedTeam(id=one.id, name=one.name, aliases=one.aliases, members=one.members) for one in found.teams],
        accounts=[
            Account(
                account_id=one.id,
                name=one.name,
                status=one.status,
                owner=one.owner,
                allows=tuple(sorted({folded(team) for team in one.allows})),
            )
            for one in found.accounts
        ],
    )


def _what_is_wrong(found: OrganisationFile) -> Iterator[Wrong]:
    yield from _wrong_in_teams(found.teams)
    seen = set[str]()
    for number, account in enumerate(found.accounts):
        place = f"accounts[{number}]"
        if not ACCOUNT_ID.match(account.id):
            yield Wrong(f"{place}.id: {_named(account.id)} is not an account id", "write its 12 digits, in quotes")
        elif account.id in seen:
            yield Wrong(f"{place}.id: account {account.id} is stated twice", "keep one of the two, with one owner")
        seen.add(account.id)
        if account.owner and not is_team_id(account.owner):
            yield Wrong(f"{place}.owner: {_named(account.owner)} cannot be a team", _OWNER_FIX)
        for one in account.allows:
            if not is_team_id(one):
                yield Wrong(f"{place}.allows: {_named(one)} cannot be a team", _OWNER_FIX)


def _wrong_in_teams(teams: list[TeamInFile]) -> Iterator[Wrong]:
    ids = {folded(team.id) for team in teams}
    seen = set[str]()
    taken: dict[str, str] = {}
    for number, team in enumerate(teams):
        place = f"teams[{number}]"
        if not is_team_id(team.id):
            yield Wrong(f"{place}.id: {_named(team.id)} cannot be a team's id", _NAME_FIX)
        elif folded(team.id) in seen:
            yield Wrong(
                f"{place}.id: there is another team {team.id}; case tells no teams apart", "join the two entries"
            )
        seen.add(folded(team.id))
        for alias in team.aliases:
            if not is_team_id(alias):
                yield Wrong(f"{place}.aliases: {_named(alias)} cannot be a team's alias", _NAME_FIX)
            elif folded(alias) in ids and folded(alias) != folded(team.id):
                yield Wrong(f"{place}.aliases: {alias!r} is the id of another team", _MERGE_FIX)
            elif taken.setdefault(folded(alias), team.id) != team.id:
                fix = "leave it with the team that it leads to"
                yield Wrong(f"{place}.aliases: {alias!r} is an alias of {taken[folded(alias)]} too", fix)
        wrong = [member for member in team.members or () if not is_member(member)]
        if wrong:
            yield Wrong(f"{place}.members: {_named(wrong[0])} cannot be a uid", _MEMBER_FIX)


def _named(text: str) -> str:
    return repr(one_line(text, _NAMED_CHARACTERS_MAX))
