"""Counts of what a team owns: of its applications, and in its accounts of what no application's team owns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from whence_aggregator.ledger.kinds import EVERY_ACCOUNT
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.queries.query import array
from whence_aggregator.queries.reports import COUNTS_OF_APPLICATIONS, COUNTS_OF_PLACES, SUMS_OF_APPLICATIONS
from whence_aggregator.reports.counted import CountKey, Counts, NamedCounts
from whence_aggregator.reports.rows import counts_by_key, sums_by_place, team_named
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.owners import owned_by
from whence_aggregator.trace.unowned import UnownedPlaces, names_of_team, unowned_places
from whence_common.clock import parse_instant


class OwnedCounts:
    """Reads the counts of now by their owners."""

    def __init__(self, *, database: Database, directory: OrganisationDirectory, kept_seconds: float) -> None:
        """`kept_seconds`: how long the owners of accounts are kept."""
        self._database = database
        self._directory = directory
        self._kept_seconds = kept_seconds
        self._kept: tuple[datetime, UnownedPlaces] | None = None

    async def of_team(self, team: str, as_written: bool, moment: Moment) -> dict[CountKey, Counts]:
        """Return the counts of a team's applications, and of what is of no team's in its accounts."""
        applications = await owned_by(self._database, team, as_written=as_written, past=moment.past)
        asked = COUNTS_OF_APPLICATIONS.bind({"applications": array(applications)})
        found = counts_by_key(await self._database.fetch(asked))
        places, names = await self.places(moment), await self.names(team, as_written, moment)
        if accounts := places.accounts_of(names):
            there = array([*accounts, EVERY_ACCOUNT])
            more = COUNTS_OF_PLACES.bind({"applications": array(sorted(places.applications)), "accounts": there})
            counts = counts_by_key(await self._database.fetch(more))
            found |= {key: one for key, one in counts.items() if owner_of(places, key) in names}
        return found

    async def by_team(
        self, found: Sequence[NamedCounts], rules: Sequence[str] | None, moment: Moment
    ) -> list[NamedCounts]:
        """Return sums by team in which what is of no application's team is of the owner of its account."""
        of_teams = [one for one in found if one.name]
        if len(of_teams) == len(found):
            return of_teams
        places = await self.places(moment)
        asked = SUMS_OF_APPLICATIONS.bind(
            {
                "applications": array(sorted(places.applications)), "any_rule": int(rules is None),
                "rules": array(rules or ()),
            }
        )  # fmt: skip
        sums = sums_by_place(await self._database.fetch(asked))
        return [
            *of_teams,
            *(NamedCounts(group_of_no_team(places, key), key.kind, subjects, one) for key, subjects, one in sums),
        ]

    async def places(self, moment: Moment) -> UnownedPlaces:
        """Return what no application's team owns; the owners of accounts now are kept for some seconds."""
        if not moment.is_now:
            return await unowned_places(self._database, self._directory, past=moment.past)
        now, known = parse_instant(moment.at), None
        if self._kept is not None:
            kept_at, kept = self._kept
            known = kept if (now - kept_at).total_seconds() < self._kept_seconds else None
        found = await unowned_places(self._database, self._directory, past=moment.past, known=known)
        if known is None:
            self._kept = now, found
        return found

    async def names(self, team: str, as_written: bool, moment: Moment) -> frozenset[str]:
        return await names_of_team(self._directory, team, as_written=as_written, past=moment.past)


def owner_of(places: UnownedPlaces, key: CountKey) -> str:
    """Return the owner of the account of what is of no application's team; else empty."""
    return places.owner(key.account_id, key.application_id)


def group_of_no_team(places: UnownedPlaces, key: CountKey) -> str | None:
    """Return the name of the group by team of what is of no application's team: the owner of its account, if any."""
    return owner_of(places, key) or team_named("", key.application_id != "")
