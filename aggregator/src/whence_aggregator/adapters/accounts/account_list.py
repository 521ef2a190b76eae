"""The accounts that a configuration has of AWS Organizations, with their ids."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from whence_aggregator.accounts.configuration.organization import choose_accounts
from whence_aggregator.accounts.configuration.organizations import Organizations
from whence_aggregator.adapters.accounts.organization import list_accounts, organization_of_accounts
from whence_aggregator.adapters.aws_clients import CALL_FAILURES, AssumedRole, ServiceClients
from whence_aggregator.adapters.aws_refusals import why
from whence_common.errors import RoadError

_SESSION_NAME = "whence-accounts"
_NAMED_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountList:
    """Ids by name of the accounts that are configured, and what was left out, in sentences."""

    ids: Mapping[str, str]
    organization_id: str
    notes: tuple[str, ...]


async def listed_accounts(
    wanted: Organizations, stated: Mapping[str, str | None], *, endpoint_url: str | None
) -> AccountList:
    """Read the organisation's accounts. `stated` has the id, or None, of each account of the file by name.

    Raises RoadError, and InputError where the file and the organisation contradict each other.
    """
    organization = organization_of_accounts(
        role_arn=wanted.role, region=wanted.region, endpoint_url=endpoint_url, clock=time.monotonic
    )
    chosen = choose_accounts(
        stated, await list_accounts(organization), units=wanted.units, exclude=wanted.exclude
    )  # fmt: skip
    left = [f"{one.name} ({one.account_id}): {one.reason}" for one in chosen.left_out]
    more = [f"{len(left) - _NAMED_MAX} more"] if len(left) > _NAMED_MAX else []
    notes = (f"accounts that are left out: {'; '.join([*left[:_NAMED_MAX], *more])}",) if left else ()
    return AccountList(ids=chosen.ids, organization_id=await _organization_id(wanted, endpoint_url), notes=notes)


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
