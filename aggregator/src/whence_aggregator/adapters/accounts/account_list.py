"""The accounts that AWS Organizations lists, as a configuration wants them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase

from whence_aggregator.accounts.configuration.organizations import Organizations
from whence_aggregator.adapters.aws_clients import CALL_FAILURES, AssumedRole, ServiceClients
from whence_aggregator.adapters.aws_organization import AwsOrganization
from whence_aggregator.adapters.aws_refusals import why
from whence_aggregator.organisation.values import ACTIVE
from whence_aggregator.organisation.values import Account as ListedAccount
from whence_common.errors import InputError, RoadError

_SESSION_NAME = "whence-accounts"
_NAMED_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountList:
    """Ids by name of the accounts that are configured, and what was left out, in sentences."""

    ids: Mapping[str, str]
    organization_id: str
    notes: tuple[str, ...]


async def listed_accounts(wanted: Organizations, *, endpoint_url: str | None) -> AccountList:
    """Read the organisation's accounts. Raises RoadError, and InputError for names that are not unique."""
    source = AwsOrganization(
        region=wanted.region, role_arn=wanted.role, session_name=_SESSION_NAME, owner_tag="", endpoint_url=endpoint_url,
        tags_seconds_max=0.0, clock=time.monotonic,
    )  # fmt: skip
    snapshot = await source.read()
    organization_id = await _organization_id(wanted, endpoint_url)
    return chosen_accounts(wanted, snapshot.accounts, organization_id=organization_id)


def chosen_accounts(wanted: Organizations, listed: Sequence[ListedAccount], *, organization_id: str) -> AccountList:
    """Return the active accounts of the wanted units that are not excluded. Pure.

    Raises InputError for two accounts of one name, and where the units were not read.
    """
    inside = [one for one in listed if _is_in(one, wanted.units)]
    left = [one for one in inside if not _is_excluded(one, wanted.exclude)]
    active = [one for one in left if one.status == ACTIVE]
    ids: dict[str, str] = {}
    for one in active:
        if one.name in ids:
            message = f"two accounts have the name {one.name}: {ids[one.name]} and {one.account_id}"
            fix = "rename one, or exclude one by its id: organizations.exclude"
            raise InputError("organizations.exclude", message, fix=fix)
        ids[one.name] = one.account_id
    closed = sorted(one.name for one in left if one.status != ACTIVE)
    return AccountList(ids=ids, organization_id=organization_id, notes=_notes(closed))


def _notes(closed: Sequence[str]) -> tuple[str, ...]:
    if not closed:
        return ()
    more = f" and {len(closed) - _NAMED_MAX} more" if len(closed) > _NAMED_MAX else ""
    return (f"left out, as they are not active: {', '.join(closed[:_NAMED_MAX])}{more}",)


def _is_in(account: ListedAccount, units: Sequence[str]) -> bool:
    """Return whether an account is in one of the units, which are paths of names; in any if none is named."""
    if not units:
        return True
    if "path" in account.unread:
        message = f"the unit of account {account.account_id} was not read"
        raise RoadError("organizations-units", message, fix="allow organizations:List* to the role of organizations")
    return any(account.path == one.rstrip("/") or account.path.startswith(f"{one.rstrip('/')}/") for one in units)


def _is_excluded(account: ListedAccount, exclude: Sequence[str]) -> bool:
    return any(one == account.account_id or fnmatchcase(account.name, one) for one in exclude)


async def _organization_id(wanted: Organizations, endpoint_url: str | None) -> str:
    clients = ServiceClients(endpoint_url=endpoint_url, session_name=_SESSION_NAME, clock=time.monotonic)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(clients.close)
        role = AssumedRole(wanted.role) if wanted.role is not None else None
        try:
            client = await clients.get("organizations", wanted.region, role)
            return str((await client.describe_organization())["Organization"]["Id"])
        except CALL_FAILURES as exc:
            message = f"AWS Organizations does not describe the organisation: {why(exc)}"
            raise RoadError("organizations-denied", message, fix="allow organizations:DescribeOrganization") from exc
