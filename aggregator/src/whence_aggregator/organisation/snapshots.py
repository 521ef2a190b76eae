"""Snapshots from what sources wrote. Ids that cannot be used are left out, with a note; none deletes a team. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whence_aggregator.organisation.names import folded, is_member, is_team_id, shown
from whence_aggregator.organisation.values import Account, Snapshot, SourceName, Team
from whence_common.errors import InputError, one_line
from whence_common.identifiers import ACCOUNT_ID

TEAMS_MAX = 20_000
ACCOUNTS_MAX = 50_000
ALIASES_MAX = 50
MEMBERS_MAX = 5_000
_NOTES_MAX = 20
_NAMED_CHARACTERS_MAX = 60


class SnapshotTooLarge(InputError):
    """A source states more teams, accounts or members than are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedTeam:
    """A team as it was written, unchecked."""

    id: str
    name: str = ""
    aliases: Sequence[str] = ()
    members: Sequence[str] | None = None


def snapshot(
    source: SourceName,
    *,
    teams: Iterable[StatedTeam] = (),
    accounts: Iterable[Account] = (),
    complete: bool = True,
    notes: Iterable[str] = (),
) -> Snapshot:
    """Return what can be used. Raises SnapshotTooLarge."""
    found, withheld, wrong = _teams(list(teams))
    listed, doubled, wrong_accounts = _accounts(list(accounts))
    every = [*notes, *wrong, *wrong_accounts]
    more = [f"and {len(every) - _NOTES_MAX} more"] if len(every) > _NOTES_MAX else []
    return Snapshot(
        source=source,
        teams=found,
        accounts=listed,
        complete=complete,
        withheld=withheld | doubled,
        notes=(*every[:_NOTES_MAX], *more),
    )


def _teams(stated: Sequence[StatedTeam]) -> tuple[tuple[Team, ...], frozenset[str], list[str]]:
    _check_count(len(stated), TEAMS_MAX, "teams")
    notes = [f"{_named(one.id)} cannot be a team's id" for one in stated if not is_team_id(one.id)]
    usable = [one for one in stated if is_team_id(one.id)]
    counted = Counter(folded(one.id) for one in usable)
    twins = frozenset(name for name, count in counted.items() if count > 1)
    notes += [f"{counted[name]} teams have the id {name}, compared without case" for name in sorted(twins)]
    teams = []
    for one in usable:
        if folded(one.id) in twins:
            continue
        aliases = {folded(alias) for alias in one.aliases if is_team_id(alias)} - {folded(one.id)}
        notes += [f"{_named(alias)} cannot be an alias of {one.id}" for alias in one.aliases if not is_team_id(alias)]
        _check_count(len(aliases), ALIASES_MAX, f"aliases of {one.id}")
        teams.append(
            Team(
                team_id=folded(one.id),
                spelled=one.id,
                name=shown(one.name) or one.id,
                aliases=tuple(sorted(aliases)),
                members=_members(one, notes),
            )
        )
    return tuple(sorted(teams, key=lambda team: team.team_id)), twins, notes


def _members(stated: StatedTeam, notes: list[str]) -> tuple[str, ...] | None:
    if stated.members is None:
        return None
    _check_count(len(stated.members), MEMBERS_MAX, f"members of {stated.id}")
    unusable = sum(not is_member(one) for one in stated.members)
    if unusable:
        notes.append(f"{unusable} members of {stated.id} have no uid of printable ASCII")
    return tuple(sorted({one for one in stated.members if is_member(one)}))


def _accounts(stated: Sequence[Account]) -> tuple[tuple[Account, ...], frozenset[str], list[str]]:
    _check_count(len(stated), ACCOUNTS_MAX, "accounts")
    notes = [f"{_named(one.account_id)} is not an account id" for one in stated if not ACCOUNT_ID.match(one.account_id)]
    usable = [one for one in stated if ACCOUNT_ID.match(one.account_id)]
    distinct = Counter(one.account_id for one in dict.fromkeys(usable))
    doubled = frozenset(name for name, count in distinct.items() if count > 1)
    notes += [f"account {one} is stated twice, and differently" for one in sorted(doubled)]
    kept = {one.account_id: one for one in usable if one.account_id not in doubled}
    return tuple(kept[one] for one in sorted(kept)), doubled, notes


def _check_count(count: int, most: int, what: str) -> None:
    if count > most:
        raise SnapshotTooLarge("organisation-too-large", f"{count} {what}, of {most} at most")


def _named(text: str) -> str:
    return repr(one_line(text, _NAMED_CHARACTERS_MAX))
