"""fullstop.'s interface of a house over HTTP, for callers with rights that tests need."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from fakes.in_process import OTHER_ACCOUNT, InProcess
from fakes.machine import FAILED, Machine
from fakes.served_house import served
from fakes.violations import StatedOwners
from whence_aggregator.callers.caller import OPERATE, REPORT_VIOLATIONS, Caller
from whence_aggregator.callers.membership import Membership
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.fullstop.lifecycles import Lifecycles
from whence_aggregator.fullstop.recorded import RecordedViolations
from whence_aggregator.fullstop.reporting import ViolationReporting
from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.fullstop.violation import ViolationSource
from whence_aggregator.wiring.fullstop import routes_over

ACCOUNT = "123456789012"
RIGHT = frozenset({"findings"})
CALLERS = {
    "reader": Caller(name="reader", teams=frozenset()),
    "hello": Caller(name="hello", teams=frozenset({"hello"})),
    "evil": Caller(name="evil", teams=frozenset({"evil"})),
    "operator": Caller(name="operator", teams=frozenset(), rights=frozenset({OPERATE})),
    "scanner": Caller(name="scanner", teams=frozenset({"hello"}), rights=RIGHT, accounts=frozenset({ACCOUNT})),
    "yourturn": Caller(
        name="yourturn", teams=frozenset(), rights=frozenset({REPORT_VIOLATIONS}), reads="nothing"
    ),
    "own": Caller(name="own", teams=frozenset({"hello"}), reads="teams"),
}  # fmt: skip
TYPES = ViolationTypes(RULES)


@dataclass
class Answer:
    status: int
    body: Any


class Asked:
    """Sends requests in the name of a caller."""

    def __init__(self, url: str, client: aiohttp.ClientSession, house: InProcess, owners: StatedOwners) -> None:
        self.url = url
        self.house = house
        self.owners = owners
        self._client = client

    async def ask(
        self, method: str, path: str, *, token: str = "reader", body: object = None, data: bytes | None = None,
        params: Sequence[tuple[str, str]] = (), headers: dict[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        content = json.dumps(body).encode() if body is not None else data
        given = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._client.request(
            method, self.url + path, data=content, params=list(params), headers={**given, **(headers or {})},
            skip_auto_headers=("Content-Type",),
        ) as answer:  # fmt: skip
            text = await answer.text()
            return Answer(answer.status, json.loads(text) if text else None)

    async def page(self, *params: tuple[str, str], token: str = "reader") -> dict[str, Any]:
        answer = await self.ask("GET", "/api/violations", token=token, params=params)
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.body
        return found

    async def rows(self, *params: tuple[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.page(("size", "2000"), *params))["content"]
        return found

    async def types(self, *params: tuple[str, str]) -> list[str]:
        return [one["violation_type"]["id"] for one in await self.rows(*params)]


def recorded(house: InProcess) -> RecordedViolations:
    return RecordedViolations(database=house.database, ledger=house.ledger, types=TYPES, rules=RULES, now=house.clock)


def routes(house: InProcess, violations: ViolationSource, owners: StatedOwners) -> list[web.RouteDef]:
    reporting = ViolationReporting(database=house.database, ledger=house.ledger, now=house.clock)
    return routes_over(
        violations, reporting, owners, Lifecycles(house.database), TYPES, Membership(None), now=house.clock
    )


@asynccontextmanager
async def asking(house: InProcess, violations: ViolationSource | None = None) -> AsyncIterator[Asked]:
    owners = StatedOwners({"greeter": "hello", ACCOUNT: "hello", OTHER_ACCOUNT: "evil"})
    offered = routes(house, violations or recorded(house), owners)
    async with served(house, offered, CALLERS) as url, aiohttp.ClientSession() as client:
        yield Asked(url, client, house, owners)


def report(**changes: object) -> dict[str, object]:
    """Return a violation as other programs report it."""
    return {
        "event_id": "e-1", "account_id": ACCOUNT, "region": "eu-central-1", "meta_info": {"user_name": "ada"},
        "violation_type": "PASSWORD_USED", **changes,
    }  # fmt: skip


async def broken_instance(house: InProcess, instance_id: str = "i-00000000000000001") -> Machine:
    """Have an instance that fails `boot-failed` and others."""
    machine = await house.machine(instance_id)
    await house.say(machine, **FAILED)
    await house.work()
    return machine
