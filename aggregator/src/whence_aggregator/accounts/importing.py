"""Import: what stands in an account, as the section of a configuration that states it. Makes no write call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.accounts.account import Target
from whence_aggregator.accounts.planning import READS_AT_ONCE
from whence_aggregator.accounts.ports import Providers
from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource
from whence_aggregator.accounts.step import AccountStep
from whence_common.errors import WhenceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The section, and what it lacks: kinds that could not be read, each with the reason, and what is not imported."""

    section: Mapping[str, Json]
    unread: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """Steps, or parts of them, that import does not state, in words, whether anything of them stands or not."""


async def import_account(target: Target, steps: Sequence[AccountStep], providers: Providers) -> Imported:
    """Return what stands in an account that was verified, by the steps that can state it."""
    limit = asyncio.Semaphore(READS_AT_ONCE)
    unread: list[str] = []

    async def part(kind: ResourceKind, region: str | None) -> Sequence[StandingResource]:
        async with limit:
            try:
                return await providers.find(kind, target, region)
            except WhenceError as exc:
                unread.append(exc.diagnostics())
                return ()

    section: dict[str, Json] = {}
    for step in (one for one in steps if one.stated is not None):
        parts = [(kind, region) for kind in step.kinds for region in (target.regions if kind.is_regional else (None,))]
        found = await asyncio.gather(*(part(*one) for one in parts))
        assert step.stated is not None, "only these steps were chosen"
        stated = step.stated([one for some in found for one in some])
        section |= {key: value for key, value in stated.items() if value not in (None, {}, [])}
    left_out = [f"{one.name}: {one.not_stated or one.summary}" for one in steps if one.stated is None or one.not_stated]
    return Imported(section=section, unread=tuple(sorted(unread)), left_out=tuple(left_out))
