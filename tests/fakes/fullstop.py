"""fullstop.'s interface of a house over HTTP, for callers with rights that tests need."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from fakes.coverage import coverage_of
from fakes.findings import sample
from fakes.in_process import LIMITLESS, InProcess
from fakes.machine import FAILED, Machine
from fakes.served_house import served
from whence_aggregator.callers.caller import OPERATE, REPORT_VIOLATIONS, Caller
from whence_aggregator.callers.limits import Limit, Rate
from whence_aggregator.callers.membership import Membership
from whence_aggregator.findings.coverage import ScannerCoverage
from whence_aggregator.findings.listing import Findings
from whence_aggregator.findings.scanners import Scanners
from whence_aggregator.http.findings import FindingCalls
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.trace.moment import Moments
from whence_aggregator.wiring.fullstop import fullstop_routes
from whence_aggregator.wiring.violations import LivingViolations, load_violations

ACCOUNT = "123456789012"
RIGHT = frozenset({"findings"})
CALLERS = {
    "reader": Caller(name="reader", teams=frozenset()),
    "hello": Caller(name="hello", teams=frozenset({"hello"}), realm="people"),
    "robot": Caller(name="robot", teams=frozenset({"hello"}), realm="services"),
    "evil": Caller(name="evil", teams=frozenset({"evil"}), realm="people"),
    "operator": Caller(name="operator", teams=frozenset(), rights=frozenset({OPERATE}), realm="people"),
    "scanner": Caller(
        name="scanner", teams=frozenset({"hello"}), rights=RIGHT, accounts=frozenset({ACCOUNT}), realm="people"
    ),
    "yourturn": Caller(
        name="yourturn", teams=frozenset(), rights=frozenset({REPORT_VIOLATIONS}), reads="nothing"
    ),
    "own": Caller(name="own", teams=frozenset({"hello"}), reads="teams", realm="people"),
    "foreign": Caller(name="foreign", teams=frozenset({"evil"}), reads="teams", realm="people"),
}  # fmt: skip


@dataclass
class Answer:
    status: int
    body: Any


class Asked:
    """Sends requests in the name of a caller."""

    def __init__(
        self, url: str, client: aiohttp.ClientSession, house: InProcess, living: LivingViolations
    ) -> None:  # fmt: skip
        self.url = url
        self.house = house
        self.living = living
        self._client = client

    async def follow(self) -> None:
        """Judge, and take the steps that follow from it."""
        await self.house.work()
        await self.living.recorder.follow_all()

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

    async def push(self, name: str) -> None:
        """Send the findings of a file."""
        params = [("complete", "true")]
        answer = await self.ask("POST", "/v1/findings", token="scanner", data=sample(name), params=params)
        assert answer.status in (200, 201), answer.body

    async def page(self, *params: tuple[str, str], token: str = "reader") -> dict[str, Any]:
        answer = await self.ask("GET", "/api/violations", token=token, params=params)
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.body
        return found

    async def rows(self, *params: tuple[str, str], token: str = "reader") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.page(("size", "2000"), *params, token=token))["content"]
        return found

    async def shown(self, one: StoredViolation) -> dict[str, Any]:
        """Return a violation as /v1/violations shows it."""
        return await self.living.grouped.shown(one, await self.house.tracer.moments.of())

    async def types(self, *params: tuple[str, str]) -> list[str]:
        return [one["violation_type"]["id"] for one in await self.rows(*params)]


@asynccontextmanager
async def asking(house: InProcess, steps: Rate = LIMITLESS) -> AsyncIterator[Asked]:
    database, directory = house.database, OrganisationDirectory(house.database)
    findings = Findings(database=database, directory=directory, scanners=Scanners())
    living = load_violations(database, house.ledger, directory, findings, now=house.clock)
    accounts = AllowedAccounts(named=frozenset({ACCOUNT}), collected=False, database=database)
    scanned = FindingCalls(
        ledger=house.ledger, findings=findings, now=house.clock, on_change=lambda: None,
        coverage=coverage_of(house),
        scanners=ScannerCoverage(database=database, scanners=findings.scanners, accounts=accounts),
        moments=Moments(database=database, now=house.clock),
        caller_bytes=Limit("caller", LIMITLESS, lambda: 0.0, unit="bytes"),
    )  # fmt: skip
    offered = [
        *fullstop_routes(living, Membership(None), Limit("caller", steps, lambda: 0.0, unit="bytes")),
        *scanned.routes(),
    ]
    async with served(house, offered, CALLERS) as url, aiohttp.ClientSession() as client:
        yield Asked(url, client, house, living)


def report(**changes: object) -> dict[str, object]:
    """Return a violation as other programs report it."""
    return {
        "event_id": "e-1", "account_id": ACCOUNT, "region": "eu-central-1", "meta_info": {"user_name": "ada"},
        "violation_type": "PASSWORD_USED", "application_id": "greeter", **changes,
    }  # fmt: skip


async def broken_instance(
    asked: Asked, instance_id: str = "i-00000000000000001", account_id: str = ACCOUNT
) -> Machine:  # fmt: skip
    """Have an instance that fails `boot-failed` and others."""
    machine = await asked.house.machine(instance_id, accountId=account_id)
    await asked.house.say(machine, **FAILED)
    await asked.follow()
    return machine
