"""Which accounts of the organisation are covered: their instances may enrol, and listings of them were complete."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from typing import Protocol

from whence_aggregator.compliance.evidence import AccountOfOrganisation, DriftOfAccount, EventsOutcome
from whence_aggregator.compliance.rows import AccountListings, account_listings
from whence_aggregator.organisation.directory import PAGE_MAX, OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import LISTINGS

ACCOUNTS_MAX = 100_000


class EventCoverage(Protocol):
    """How far the events of accounts are read."""

    async def unread(self, account_ids: Collection[str]) -> Mapping[str, str]:
        """Return in which regions the newest log file could not be read, by account; empty: no file ever was.

        Accounts whose events are read are left out.
        """


class AccountDrifts(Protocol):
    """What differs in accounts from their declared configuration."""

    async def account_ids(self) -> Sequence[str]:
        """Return the accounts that were planned, or wait for it."""

    async def of(self, account_ids: Sequence[str]) -> Mapping[str, DriftOfAccount]:
        """Return the drift of those of the accounts that the configuration states."""


class CoveredAccounts:
    """Compares the accounts that the organisation's sources state with those that are read."""

    def __init__(
        self,
        *,
        database: Database,
        directory: OrganisationDirectory,
        allowed: Container[str],
        lists: bool,
        events: EventCoverage | None,
        drifts: AccountDrifts | None,
    ) -> None:
        """`lists`: whether the settings configure an inventory. `events`: None where they configure no CloudTrail."""
        self._database = database
        self._directory = directory
        self._allowed = allowed
        self._lists = lists
        self._events = events
        self._drifts = drifts

    async def ids(self) -> Collection[str]:
        """Return the accounts that any source has stated."""
        found: list[str] = []
        while len(found) < ACCOUNTS_MAX:
            page = await self._directory.account_ids(after=found[-1] if found else "")
            found += page
            if len(page) < PAGE_MAX:
                break
        return found if self._drifts is None else sorted({*found, *await self._drifts.account_ids()})

    async def of(self, account_ids: Collection[str]) -> Mapping[str, AccountOfOrganisation]:
        """Return whether accounts are covered; those that no source nor the configuration states are left out."""
        stated = await self._directory.accounts(sorted(account_ids))
        listings = account_listings(await self._database.fetch(LISTINGS.bind({})))
        unread = await self._events.unread(account_ids) if self._events is not None else None
        drifts = await self._drifts.of(sorted(account_ids)) if self._drifts is not None else {}
        nothing = AccountListings(listed=None, reason="")
        return {
            name: AccountOfOrganisation(
                status=stated[name].status if name in stated else "",
                allowed=name in self._allowed,
                listed=listings.get(name, nothing).listed if self._lists else None,
                reason=listings.get(name, nothing).reason,
                events=_events(name, unread),
                events_failing=(unread or {}).get(name, ""),
                drift=drifts.get(name),
            )
            for name in sorted({*stated, *drifts})
        }


def _events(account_id: str, unread: Mapping[str, str] | None) -> EventsOutcome:
    if unread is None:
        return "not configured"
    if account_id not in unread:
        return "read"
    return "failed" if unread[account_id] else "never"
