"""All accounts with their owners, joined over the sources, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.organisation.directory import PAGE_MAX, OrganisationDirectory, team_of
from whence_aggregator.organisation.directory_rows import said_to_wire
from whence_aggregator.organisation.resolving import KnownAccount
from whence_aggregator.organisation.values import ACTIVE
from whence_aggregator.queries.query import EVERY_ENTRY


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedAccount:
    """An account, and the one team that all its sources name as the owner; None where they name none, or several."""

    account: KnownAccount
    owner: str | None

    def to_wire(self) -> dict[str, object]:
        known = self.account
        return {
            "name": known.name or None, "status": known.status or None, "path": known.path or None,
            "owner": self.owner, "owners": dict(known.owners), "allows": sorted(known.allows), "tags": dict(known.tags),
            "sources": said_to_wire(known.said),
        }  # fmt: skip


NOT_STATED: Mapping[str, object] = {
    "name": None, "status": None, "path": None, "owner": None, "owners": {}, "allows": [], "tags": {}, "sources": [],
}  # fmt: skip
"""For an account that no source has stated."""


async def owned(
    directory: OrganisationDirectory, account_ids: Sequence[str], *, past: int = EVERY_ENTRY
) -> list[OwnedAccount]:
    """Return those of the accounts that a source has stated."""
    known = await directory.accounts(account_ids, past=past)
    names = sorted({name for one in known.values() for name in one.owners.values()})
    found = await directory.resolve(names, past=past)
    accounts = []
    for account_id in sorted(known):
        owners = {team_of(found[name]) or name for name in known[account_id].owners.values()}
        accounts.append(OwnedAccount(account=known[account_id], owner=owners.pop() if len(owners) == 1 else None))
    return accounts


async def standing_accounts(directory: OrganisationDirectory) -> list[str]:
    """Return the ids of accounts that a source states, without those that are gone or not active."""
    found: list[str] = []
    after = ""
    while True:
        page = await directory.account_ids(after=after, limit=PAGE_MAX)
        known = await directory.accounts(page) if page else {}
        found += [name for name, one in sorted(known.items()) if one.status in ("", ACTIVE)]
        if len(page) < PAGE_MAX:
            return found
        after = page[-1]


async def every_account(directory: OrganisationDirectory) -> AsyncIterator[list[OwnedAccount]]:
    """Return all accounts that any source has stated, a page at a time."""
    after = ""
    while True:
        page = await directory.account_ids(after=after, limit=PAGE_MAX)
        if page:
            yield await owned(directory, page)
        if len(page) < PAGE_MAX:
            return
        after = page[-1]
