"""Who owns accounts, and what the names of teams lead to, as the organisation's sources stated it by a moment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from whence_aggregator.organisation.directory_rows import source_state
from whence_aggregator.organisation.names import folded, is_team_id
from whence_aggregator.organisation.resolving import KnownAccount, TeamNames, accounts_of
from whence_aggregator.organisation.rows import WholeReading, held_names, stated_accounts, whole_readings
from whence_aggregator.ports import Database
from whence_aggregator.queries.organisation import (
    ACCOUNT_REVISIONS_AT,
    ORGANISATION_READS_AT,
    ORGANISATION_SOURCES,
    TEAMS_NAMED_AT,
)
from whence_aggregator.queries.query import array, together
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.owned import NEVER_READ, NOT_CONFIGURED, Ownership, why_lapsed
from whence_common.clock import Now


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOwners:
    """The owners of accounts."""

    accounts: Mapping[str, KnownAccount]
    names: TeamNames
    read: Mapping[str, WholeReading]
    unread: str
    lapsed: str

    def of(self, account_id: str) -> Ownership:
        return Ownership(
            account=self.accounts.get(account_id), names=self.names, read=self.read, unread=self.unread,
            lapsed=self.lapsed,
        )  # fmt: skip


class OwnershipFacts:
    """Reads what sources stated. `sources` are those of the settings, with how often each is read, in seconds.

    For the present, a source that is not configured any more does not count: nothing asks it, so it denies nothing.
    """

    def __init__(self, *, database: Database, sources: Mapping[str, float], now: Now) -> None:
        self._database = database
        self._sources = sources
        self._now = now

    async def of(self, account_ids: Collection[str], teams: Collection[str], moment: Moment) -> KnownOwners:
        """Return the owners of accounts. `teams` are names of teams that are compared with them."""
        stated, readings, states = await self._database.fetch_all(
            together(
                ACCOUNT_REVISIONS_AT.bind({"account_ids": array(sorted(account_ids)), "past": moment.past}),
                ORGANISATION_READS_AT.bind({"past": moment.past}),
                ORGANISATION_SOURCES.bind({}),
            ),
            brief=True,
        )
        read = {source: one for source, one in whole_readings(readings).items() if self._counts(source, moment)}
        accounts = accounts_of([one for one in stated_accounts(stated) if self._counts(one.source, moment)])
        named = {name for one in accounts.values() for name in (*one.owners.values(), *one.allows)}
        named |= set(teams) if accounts or read else set()
        lapsed = why_lapsed(map(source_state, states), self._sources, self._now()) if moment.is_now and read else ""
        return KnownOwners(
            accounts=accounts,
            names=await self._names(named, moment),
            read=read,
            unread=self._unread(moment),
            lapsed=lapsed,
        )

    async def _names(self, names: Collection[str], moment: Moment) -> TeamNames:
        wanted = sorted({folded(one) for one in names if is_team_id(one)})
        if not wanted:
            return TeamNames(())
        asked = together(TEAMS_NAMED_AT.bind({"names": array(wanted), "past": moment.past}))
        held = held_names((await self._database.fetch_all(asked, brief=True))[0])
        return TeamNames([one for one in held if self._counts(one.source, moment)])

    def _counts(self, source: str, moment: Moment) -> bool:
        return source in self._sources or not moment.is_now

    def _unread(self, moment: Moment) -> str:
        """Return why nothing is known where no source of the organisation had been read."""
        if not moment.is_now:
            return f"no reading of a source of accounts was recorded by {moment.at}"
        return NEVER_READ if self._sources else NOT_CONFIGURED
