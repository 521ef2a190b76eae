"""Reads who owns an account from what the sources of the organisation stated last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from whence_aggregator.organisation.directory_rows import SourceState
from whence_aggregator.organisation.names import folded
from whence_aggregator.organisation.resolving import Ambiguous, FoundTeam, KnownAccount, ResolvedTeam
from whence_aggregator.registry.pull_rule import OwnersOfAccount
from whence_common.clock import parse_instant


class AccountDirectory(Protocol):
    """Teams and accounts; each call raises StorageUnavailable."""

    async def accounts(self, account_ids: Sequence[str]) -> Mapping[str, KnownAccount]:
        """Return those of the accounts that a source has stated."""

    async def resolve(self, names: Sequence[str]) -> Mapping[str, ResolvedTeam]:
        """Return which team each name leads to."""

    async def sources(self) -> Sequence[SourceState]:
        """Return when each source was last read."""


class StatedOwners:
    """Owners of accounts by the directory of the organisation."""

    def __init__(self, directory: AccountDirectory) -> None:
        self._directory = directory

    async def of(self, account_id: str, team: str) -> OwnersOfAccount:
        """Return who owns an account, beside the team that a name leads to. Raises StorageUnavailable."""
        account = (await self._directory.accounts([account_id])).get(account_id)
        if account is None:
            return OwnersOfAccount(account_id=account_id, team=folded(team))
        names = await self._directory.resolve([team, *account.owners.values(), *account.allows])
        read = {one.source: one.read_at for one in await self._directory.sources()}
        stated = ((one.source, read.get(one.source)) for one in account.said)
        return OwnersOfAccount(
            account_id=account_id,
            team=_id(team, names),
            owners={source: _id(owner, names) for source, owner in account.owners.items()},
            allows=frozenset(_id(one, names) for one in account.allows if not isinstance(names.get(one), Ambiguous)),
            read_at={source: parse_instant(at) if at is not None else None for source, at in stated},
            unclear=_unclear([team, *account.owners.values()], names, account),
        )


def _id(name: str, names: Mapping[str, ResolvedTeam]) -> str:
    """Return the id of the team that a name leads to, else the name itself: AWS's tags may be all that there is."""
    found = names.get(name)
    return found.team_id if isinstance(found, FoundTeam) else folded(name)


def _unclear(wanted: Iterable[str], names: Mapping[str, ResolvedTeam], account: KnownAccount) -> str:
    """Return why it cannot be decided who owns the account; empty if it can."""
    several = [found for one in wanted if isinstance(found := names.get(one), Ambiguous)]
    if several:
        return f"{several[0].asked_as} is the name of several teams ({', '.join(several[0].teams[:5])})"
    return "its owner was not read yet" if account.owner_unread and not account.owners else ""
