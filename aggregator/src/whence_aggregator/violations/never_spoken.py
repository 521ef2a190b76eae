"""Instances that the EC2 API lists as running and that never made a statement: by account, they break `agent-silent`.

No verdict judges them, as nothing but the list is known of them. That they run unheard is known as long as the list is
read; while its last reading failed, it is not confirmed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from whence_aggregator.ports import Database
from whence_aggregator.queries.compliance import NEVER_SPOKE
from whence_aggregator.queries.query import BoundQuery, array
from whence_aggregator.queries.violations import NEVER_SPOKEN_BY_ACCOUNT
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.silences import AGENT_SILENT
from whence_aggregator.violations.group import ACCOUNT, Group
from whence_aggregator.violations.life import About, ObservedFault
from whence_aggregator.violations.never_spoken_rows import (
    UnheardAccount,
    UnheardCount,
    UnheardInstance,
    unheard_accounts,
    unheard_instances,
)
from whence_common.clock import from_millis, parse_instant, to_instant

R = TypeVar("R")
REASON = "the EC2 API lists it as running, but it never made a statement"
RULE = AGENT_SILENT


class _Reader(Protocol):
    """A database, or a write transaction."""

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]: ...


class NeverSpoken:
    """Reads the list of EC2."""

    def __init__(self, *, database: Database, listening: Listening, in_force: Callable[[], bool]) -> None:
        """`in_force`: whether the rule is; else nobody breaks it."""
        self._in_force = in_force
        self._database = database
        self._listening = listening

    async def observed(self, reader: _Reader) -> list[ObservedFault]:
        """Return the fault of each account that has such instances; severity and owner are added later."""
        return [self._observed(row) for row in await self._by_account(reader)]

    async def counted(self) -> dict[str, UnheardCount]:
        """Return how many there are by the id of the violation."""
        found: dict[str, UnheardCount] = {}
        for row in await self._by_account(self._database):
            name = group_of(row.account_id).id
            found[name] = found.get(name, UnheardCount()).with_more(row)
        return found

    async def members(self, account_id: str, *, limit: int) -> list[Mapping[str, object]]:
        """Return the instances of an account, in the order of ids."""
        return [self._member(row) for row in await self._listed(account_id=account_id, limit=limit)]

    async def ids(self, *, instance: str | None, region: str | None, limit: int) -> set[str]:
        """Return the ids of violations that such an instance belongs to, by its id or its region."""
        rows = await self._listed(instance=instance, region=region, limit=limit)
        return {group_of(row.account_id).id for row in rows}

    async def _by_account(self, reader: _Reader) -> Sequence[UnheardAccount]:
        if not self._in_force():
            return ()
        before = to_instant(self._listening.silent_before)
        return unheard_accounts(await reader.fetch(NEVER_SPOKEN_BY_ACCOUNT.bind({"launched_before": before})))

    async def _listed(
        self, *, limit: int, account_id: str | None = None, instance: str | None = None, region: str | None = None
    ) -> Sequence[UnheardInstance]:
        if not self._in_force():
            return ()
        asked = NEVER_SPOKE.bind(
            {
                "account": account_id, "any_account": 1, "accounts": array(()),
                "region": region, "instance": instance, "since": None, "until": None,
                "launched_before": to_instant(self._listening.silent_before), "after": "", "limit": limit,
            }
        )  # fmt: skip
        return unheard_instances(await self._database.fetch(asked))

    def _observed(self, row: UnheardAccount) -> ObservedFault:
        confirmed, listed_at = row.confirmed, row.listed_at
        began = self._since(row.launched_at)
        return ObservedFault(
            group=group_of(row.account_id), failing=confirmed,
            since=began if confirmed or not listed_at else max(began, from_millis(listed_at)),
            reason=REASON if confirmed else f"the list of EC2 could not be read: {row.failure}",
            about=About(account_id=row.account_id, severity=0),
        )  # fmt: skip

    def _member(self, row: UnheardInstance) -> Mapping[str, object]:
        return {
            "instance_id": row.instance_id, "account_id": row.account_id, "region": row.region,
            "verdict": "unknown", "reason": REASON, "since": self._since(row.launched_at),
            "ledger_index": row.ledger_index,
        }  # fmt: skip

    def _since(self, launched_at: str) -> str:
        return to_instant(parse_instant(launched_at) + self._listening.silent_after)


def group_of(account_id: str) -> Group:
    return Group(rule=RULE, kind=ACCOUNT, subject=account_id)
