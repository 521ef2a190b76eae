"""Read what stands in an account: every kind of every step, concurrently, each failure kept to its kind and region."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.accounts.account import Target
from whence_aggregator.accounts.plan import Remark
from whence_aggregator.accounts.ports import Providers
from whence_aggregator.accounts.resources import ResourceKind, StandingResource, WantedResource, address_of
from whence_common.errors import WhenceError


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReading:
    """What stands. `unread` has the addresses of wanted resources of which nothing is known."""

    standing: tuple[StandingResource, ...]
    remarks: tuple[Remark, ...]
    unread: frozenset[str]


async def read_account(
    target: Target,
    kinds: Sequence[ResourceKind],
    wanted: Sequence[WantedResource],
    providers: Providers,
    *,
    at_once: asyncio.Semaphore,
) -> AccountReading:
    """Read all resources of these kinds that are wanted or our own, in the account's regions and those of `wanted`."""
    parts = dict.fromkeys(
        (kind, region)
        for kind in kinds
        for region in (
            (*target.regions, *(one.region for one in wanted if one.kind.name == kind.name))
            if kind.is_regional
            else (None,)
        )
    )

    one_pass = providers.of_one_pass()

    async def part(kind: ResourceKind, region: str | None) -> AccountReading:
        asked = [one for one in wanted if one.kind.name == kind.name and one.region == region]
        try:
            async with at_once:
                found = await one_pass.of(kind, target, region).read(asked)
        except WhenceError as exc:
            return _unread(kind, region, asked, exc)
        return AccountReading(standing=tuple(found), remarks=(), unread=frozenset())

    read = await asyncio.gather(*(part(*one) for one in parts))
    return AccountReading(
        standing=tuple(one for each in read for one in each.standing),
        remarks=tuple(one for each in read for one in each.remarks),
        unread=frozenset().union(*(one.unread for one in read)),
    )


def _unread(
    kind: ResourceKind, region: str | None, asked: Sequence[WantedResource], exc: WhenceError
) -> AccountReading:
    remark = Remark(
        address=address_of(kind.name, "*", region), step=kind.step, kind="unread" if asked else "unsearched",
        message=exc.message[:1_500], fix=exc.fix[:400],
    )  # fmt: skip
    return AccountReading(standing=(), remarks=(remark,), unread=frozenset(one.address for one in asked))
