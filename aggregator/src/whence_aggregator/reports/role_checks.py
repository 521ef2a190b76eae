"""Checks what the inventory's role may do in each account and region, now: a bounded number of places at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from whence_aggregator.ports import ProbedCall

PLACES_OF_PAGE = 50
PLACES_AT_ONCE_MAX = 8
PLACE_SECONDS_MAX = 45.0
"""A place that answers no faster is not known; the others are checked meanwhile."""
Place = tuple[str, str]
"""Account and region."""


_NOT_ALLOWED = ProbedCall(
    source="role", permission="sts:AssumeRole", outcome="not asked",
    reason="the setting accounts does not have this account: it is not read, and no role of it is assumed",
)  # fmt: skip
"""The role of an account that a caller names could be anybody's, who would read the external id in their CloudTrail."""


class ProbesRoles(Protocol):
    """Asks AWS."""

    async def probe(self, account_id: str, region: str) -> Sequence[ProbedCall]:
        """Return how each call that the inventory makes would end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPlace:
    """One account and region."""

    account_id: str
    region: str
    calls: Sequence[ProbedCall]

    def to_wire(self) -> list[dict[str, object]]:
        return [
            {
                "account_id": self.account_id, "region": self.region, "source": one.source, "outcome": one.outcome,
                "permission": one.permission, "reason": one.reason or None,
            }
            for one in self.calls
        ]  # fmt: skip


class RoleChecks:
    """Checks pages of places. `probe` is None where the settings have no inventory."""

    def __init__(
        self,
        *,
        probe: ProbesRoles | None,
        accounts: Callable[[], Collection[str]],
        stated: Callable[[], Awaitable[Collection[str]]],
        regions: Sequence[str],
    ) -> None:
        """`stated`: the accounts of the organisation, also those that `accounts` lacks."""
        self._probe = probe
        self._stated = stated
        self._accounts = accounts
        self._regions = regions

    @property
    def configured(self) -> bool:
        return self._probe is not None

    async def page(self, account: str | None, *, after: Place) -> tuple[list[CheckedPlace], Place | None]:
        """Return the next places with how their calls ended, and the last place if more follow.

        Accounts of the organisation that the settings lack are places without a region, and not asked.
        """
        if self._probe is None:
            return [], None
        allowed = self._accounts()
        if account is not None and account not in allowed:
            return [CheckedPlace(account_id=account, region="", calls=[_NOT_ALLOWED])], None
        lacking = [one for one in await self._stated() if one not in allowed] if account is None else []
        accounts = allowed if account is None else [account]
        every = [*((one, region) for one in accounts for region in self._regions), *((one, "") for one in lacking)]
        places = [place for place in sorted(every) if place > after]
        page = places[:PLACES_OF_PAGE]
        room = asyncio.Semaphore(PLACES_AT_ONCE_MAX)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_checked(self._probe, place, room)) for place in page]
        return [one.result() for one in tasks], page[-1] if len(places) > len(page) else None


async def _checked(probe: ProbesRoles, place: Place, room: asyncio.Semaphore) -> CheckedPlace:
    account_id, region = place
    if not region:
        return CheckedPlace(account_id=account_id, region="", calls=[_NOT_ALLOWED])
    async with room:
        try:
            async with asyncio.timeout(PLACE_SECONDS_MAX):
                calls = await probe.probe(account_id, region)
        except TimeoutError:
            reason = f"AWS did not answer within {PLACE_SECONDS_MAX:g} seconds"
            calls = [ProbedCall(source="role", permission="sts:AssumeRole", outcome="unavailable", reason=reason)]
    return CheckedPlace(account_id=account_id, region=region, calls=calls)
