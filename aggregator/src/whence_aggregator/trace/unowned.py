"""What belongs to the owner of its account: everything that is of no application with a team."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from whence_aggregator.ledger.kinds import EVERY_ACCOUNT
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.listing import owned
from whence_aggregator.ports import Database
from whence_aggregator.queries.query import array
from whence_aggregator.queries.reports import ACCOUNTS_OF_APPLICATIONS_COUNTED, UNOWNED_APPLICATIONS
from whence_aggregator.trace.unowned_rows import accounts_with_applications, unowned

_OWNED_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class UnownedPlaces:
    """Applications without a team, '' for what is of none, and the owners of accounts."""

    applications: frozenset[str] = frozenset()
    owners: Mapping[str, str] = field(default_factory=dict)
    """By account; accounts without an owner are not here."""
    homes: Mapping[str, str] = field(default_factory=dict)
    """The account of each application that is in one alone."""

    def owner(self, account_id: str, application_id: str) -> str:
        """Return the owner of the account in which something is; empty for what an application's team owns."""
        if application_id not in self.applications:
            return ""
        return self.owners.get(self.homes.get(application_id, "") if account_id == EVERY_ACCOUNT else account_id, "")

    def accounts_of(self, names: Collection[str]) -> list[str]:
        """Return the accounts that a team owns, by its names."""
        return sorted(account for account, owner in self.owners.items() if owner in names)

    def at_home_of(self, names: Collection[str]) -> list[str]:
        """Return the applications without a team that are in one account alone, which the team owns."""
        return sorted(one for one in self.applications if self.owners.get(self.homes.get(one, "")) in names)


async def unowned_places(
    database: Database, directory: OrganisationDirectory, *, past: int, known: UnownedPlaces | None = None
) -> UnownedPlaces:
    """Return what no application's team owns, by the entries before the bound `past`. `known`: with its owners."""
    applications = unowned(await database.fetch(UNOWNED_APPLICATIONS.bind({"past": past})))
    if known is not None:
        return replace(known, applications=frozenset({"", *applications}))
    asked = ACCOUNTS_OF_APPLICATIONS_COUNTED.bind({"applications": array(applications)})
    accounts = accounts_with_applications(await database.fetch(asked))
    return UnownedPlaces(
        applications=frozenset({"", *applications}),
        owners=await _owners(directory, sorted(accounts), past),
        homes=_homes(accounts),
    )


async def names_of_team(
    directory: OrganisationDirectory, team: str, *, as_written: bool, past: int
) -> frozenset[str]:  # fmt: skip
    """Return the names by which a team may own something; only this very one if it counts as written."""
    return frozenset({team}) if as_written else await directory.names_of(team, past=past)


async def _owners(directory: OrganisationDirectory, account_ids: Sequence[str], past: int) -> dict[str, str]:
    found = dict[str, str]()
    for start in range(0, len(account_ids), _OWNED_AT_ONCE):
        some = await owned(directory, account_ids[start : start + _OWNED_AT_ONCE], past=past)
        found |= {one.account.account_id: one.owner for one in some if one.owner}
    return found


def _homes(accounts: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Return the account of each application that is in one alone."""
    places: dict[str, set[str]] = {}
    for account, applications in accounts.items():
        for one in applications:
            places.setdefault(one, set()).add(account)
    return {one: min(found) for one, found in places.items() if len(found) == 1}
