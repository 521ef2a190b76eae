"""Drift of accounts in the log: a fact when it changes, a violation while it lasts, unknown while it cannot be read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from contract.test_account_plans import report
from fakes.auditor import checked
from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.accounts.drift import AccountDrift, DriftDoer, DriftedResource, UnreadPart
from whence_aggregator.changes.account_plans import AppliedPlans
from whence_aggregator.collect.account_drift import (
    CONFIGURATION_KIND,
    ConfigurationLooking,
    DriftCollector,
    DriftReading,
)
from whence_aggregator.collect.account_drifts import KnownDrifts
from whence_aggregator.collect.fact_recorder import FactRecorder
from whence_aggregator.compliance.covered import CoveredAccounts
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database, SourceUnavailable
from whence_aggregator.queries.compliance import VERDICTS_OF_SUBJECTS
from whence_aggregator.queries.query import array
from whence_aggregator.queries.violations import VIOLATIONS_OPEN
from whence_aggregator.trace.facts import ACCOUNT_DRIFT_KIND
from whence_aggregator.wiring.violations import load_violations
from whence_aggregator.work.task import Work

ONE, TWO = "111111111111", "222222222222"
SECONDS = 3600.0
DENIED = SourceUnavailable("account-denied", "one: AWS denies it: AccessDenied", fix="allow it")


def drift(*addresses: str, unread: str = "", by: str = "") -> AccountDrift:
    doer = DriftDoer(at="2026-11-22T11:00:00.000Z", event="PutRolePolicy", event_id="e", by=by) if by else None
    first = tuple(
        DriftedResource(address=one, step="roles", action="update", aspects=("trust",), lines=(), doer=doer)
        for one in addresses
    )
    parts = (UnreadPart(address=unread, reason="denied"),) if unread else ()
    return AccountDrift(account="one", configuration="sha256:00", changes=len(addresses), first=first, unread=parts)


@dataclass
class FakePlanner:
    """Accounts of a configuration, as a test states them."""

    accounts: dict[str, AccountDrift | SourceUnavailable] = field(default_factory=dict)
    file: str = "sha256:00"

    async def account_ids(self) -> Sequence[str]:
        return list(self.accounts)

    async def digest(self) -> str:
        return self.file

    async def drift(self, account_id: str) -> AccountDrift | None:
        found = self.accounts.get(account_id)
        if isinstance(found, SourceUnavailable):
            raise found
        return found


@dataclass
class SlowPlanner(FakePlanner):
    """A planner that answers when a test lets it."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Event = field(default_factory=asyncio.Event)
    asked_times: int = 0

    async def drift(self, account_id: str) -> AccountDrift | None:
        self.asked_times += 1
        self.asked.set()
        await self.answer.wait()
        return await super().drift(account_id)


@dataclass
class DriftHouse:
    """A house that reads the drift of accounts."""

    house: InProcess
    planner: FakePlanner

    def __post_init__(self) -> None:
        recorder = FactRecorder(
            ledger=self.house.ledger, collectors={ACCOUNT_DRIFT_KIND: DriftCollector(self.planner)},
            now=self.house.clock,
        )  # fmt: skip
        self.reading = DriftReading(
            recorder=recorder, planner=self.planner, database=self.house.database, seconds=SECONDS, now=self.house.clock
        )
        self.looking = ConfigurationLooking(
            planner=self.planner, reading=self.reading, database=self.house.database, now=self.house.clock
        )
        self.worker = self.house.worker_of(
            {ACCOUNT_DRIFT_KIND: Work(handler=self.reading), CONFIGURATION_KIND: Work(handler=self.looking)}
        )
        self.known = KnownDrifts(database=self.house.database, now=self.house.clock)

    async def read(self) -> None:
        """Do what is due, and judge what it marked."""
        while await self.worker.work() or await self.house.evaluator.work():
            pass

    async def later(self) -> None:
        self.house.clock.advance(SECONDS + 1)
        await self.read()

    async def verdict(self, account_id: str = ONE) -> tuple[str, str]:
        rows = await self.house.database.fetch(VERDICTS_OF_SUBJECTS.bind({"ids": array([account_id])}))
        return next(((row["verdict"], row["reason"]) for row in rows if row["rule"] == "account-drift"), ("pass", ""))

    async def open(self) -> list[tuple[str, str]]:
        """Return the open violations of the rule: id, and since when."""
        directory = OrganisationDirectory(self.house.database)
        living = load_violations(self.house.database, self.house.ledger, directory, None, now=self.house.clock)
        await living.recorder.follow_all()
        asked = VIOLATIONS_OPEN.bind({"every_rule": 1, "rules": array([]), "after": "", "limit": 100})
        rows = await self.house.database.fetch(asked)
        return [(row["id"], row["first_seen"]) for row in rows if row["rule"] == "account-drift"]

    async def state(self, account_id: str = ONE) -> str:
        return str((await self.known.known([account_id]))[account_id].to_wire()["state"])


@pytest.fixture
async def drifting(database: Database, authority: SigningAuthority) -> AsyncIterator[DriftHouse]:
    planner = FakePlanner({ONE: drift()})
    rules = RulesInForce.of(sources=["account-configuration"])
    clocked = InProcess(database, authority)
    covered = CoveredAccounts(
        database=database, directory=OrganisationDirectory(database), allowed={ONE, TWO}, lists=False, events=None,
        drifts=KnownDrifts(database=database, now=clocked.clock),
    )  # fmt: skip
    house = InProcess(database, authority, clock=clocked.clock, rules=rules, organisation_accounts=covered)
    async with house.running():
        made = DriftHouse(house, planner)
        await made.reading.schedule()
        yield made


async def test_an_account_is_unknown_until_it_was_planned(drifting: DriftHouse) -> None:
    assert await drifting.state() == "unknown"
    assert (await drifting.known.of([ONE]))[ONE].outcome == "waiting"
    await drifting.read()
    assert await drifting.state() == "converged"
    assert (await drifting.verdict())[0] == "pass"


async def test_drift_is_a_violation_that_names_what_differs_and_who_did_it_until_it_is_put_right(
    drifting: DriftHouse,
) -> None:
    await drifting.read()
    drifting.planner.accounts[ONE] = drift("role/fullstop", by="ada@example.org")
    await drifting.later()
    assert await drifting.verdict() == (
        "fail", "1 resource differs from the configuration: role/fullstop; "
        "ada@example.org changed role/fullstop at 2026-11-22T11:00:00.000Z (PutRolePolicy)",
    )  # fmt: skip
    drifting.planner.accounts[ONE] = drift()
    await drifting.later()
    assert (await drifting.verdict())[0] == "pass"


async def test_the_same_drift_again_is_no_new_entry(drifting: DriftHouse) -> None:
    drifting.planner.accounts[ONE] = drift("role/fullstop")
    await drifting.read()
    entries = len(await drifting.house.entries("fact"))
    for _ in range(3):
        await drifting.later()
    assert len(await drifting.house.entries("fact")) == entries


async def test_two_replicas_read_an_account_once_and_record_one_entry(drifting: DriftHouse) -> None:
    planner = SlowPlanner({ONE: drift("role/fullstop")})
    one, other = DriftHouse(drifting.house, planner), DriftHouse(drifting.house, planner)
    first = asyncio.create_task(one.worker.work())
    await planner.asked.wait()
    await other.reading.schedule()
    assert await other.worker.work() == 0
    planner.answer.set()
    assert await first == 1
    assert await other.worker.work() == 0
    assert (planner.asked_times, len(await drifting.house.entries("fact"))) == (1, 1)


async def test_replicas_that_claim_at_once_share_the_accounts(drifting: DriftHouse) -> None:
    planner = SlowPlanner({ONE: drift("role/fullstop"), TWO: drift()})
    planner.answer.set()
    replicas = [DriftHouse(drifting.house, planner) for _ in range(2)]
    await replicas[0].reading.schedule()
    assert sum(await asyncio.gather(*(each.worker.work() for each in replicas))) == 2
    assert (planner.asked_times, len(await drifting.house.entries("fact"))) == (2, 2)


async def test_a_reading_that_fails_makes_the_account_unknown_and_keeps_what_was_known(drifting: DriftHouse) -> None:
    drifting.planner.accounts[ONE] = drift("role/fullstop")
    await drifting.read()
    drifting.planner.accounts[ONE] = DENIED
    await drifting.later()
    outcome, reason = await drifting.verdict()
    assert outcome == "unknown"
    assert reason.startswith("the account could not be planned: one: AWS denies it: AccessDenied")
    shown = (await drifting.known.known([ONE]))[ONE].to_wire()
    assert (shown["state"], shown["changes"]) == ("unknown", 1)
    drifting.planner.accounts[ONE] = drift("role/fullstop")
    await drifting.later()
    assert (await drifting.verdict())[0] == "fail"


async def test_parts_that_cannot_be_read_are_never_a_pass(drifting: DriftHouse) -> None:
    drifting.planner.accounts[ONE] = drift(unread="eu-west-1/vpc/*")
    await drifting.read()
    assert await drifting.verdict() == ("unknown", "not all of the account could be read: eu-west-1/vpc/*: denied")
    assert await drifting.state() == "unknown"
    drifting.planner.accounts[ONE] = drift("role/fullstop", unread="eu-west-1/vpc/*")
    await drifting.later()
    assert (await drifting.verdict())[0] == "fail"


def plans_of(house: InProcess) -> AppliedPlans:
    return AppliedPlans(database=house.database, ledger=house.ledger, now=house.clock, on_work=house.wake)


async def test_an_account_is_planned_again_at_once_when_a_plan_of_it_was_applied(drifting: DriftHouse) -> None:
    drifting.planner.accounts[ONE] = drift("role/fullstop")
    await drifting.read()
    assert (await drifting.verdict())[0] == "fail"
    drifting.planner.accounts[ONE] = drift()
    await plans_of(drifting.house).record(json.dumps(report(ONE)).encode(), recorded_by="ada")
    await drifting.read()
    assert (await drifting.verdict())[0] == "pass"


async def test_an_account_is_planned_again_within_a_minute_when_the_configuration_changes(
    drifting: DriftHouse,
) -> None:
    await drifting.looking.schedule()
    drifting.planner.accounts[ONE] = drift("role/fullstop")
    await drifting.read()
    drifting.planner.file = "sha256:11"
    drifting.planner.accounts[ONE] = msgspec.structs.replace(drift(), configuration="sha256:11")
    drifting.house.clock.advance(61)
    await drifting.read()
    assert (await drifting.verdict())[0] == "pass"
    entries = len(await drifting.house.entries("fact"))
    drifting.house.clock.advance(61)
    await drifting.read()
    assert len(await drifting.house.entries("fact")) == entries


async def test_a_reading_that_an_apply_overtakes_is_repeated(drifting: DriftHouse) -> None:
    slow = SlowPlanner({ONE: drift("role/fullstop")})
    overtaken = DriftHouse(drifting.house, slow)
    working = asyncio.create_task(overtaken.worker.work())
    await slow.asked.wait()
    await plans_of(drifting.house).record(json.dumps(report(ONE)).encode(), recorded_by="ada")
    slow.answer.set()
    await working
    slow.accounts[ONE] = drift()
    drifting.house.clock.advance(6)
    await overtaken.read()
    assert (await drifting.verdict())[0] == "pass"
    assert slow.asked_times == 2


async def test_an_account_that_is_added_to_the_configuration_is_read_at_the_next_reading(drifting: DriftHouse) -> None:
    await drifting.read()
    drifting.planner.accounts[TWO] = drift("kms/key")
    await drifting.later()
    assert (await drifting.verdict(TWO))[0] == "fail"


async def test_an_account_that_the_configuration_no_longer_states_is_forgotten(drifting: DriftHouse) -> None:
    drifting.planner.accounts[TWO] = drift()
    drifting.planner.accounts[ONE] = drift("role/fullstop")
    await drifting.reading.schedule()
    await drifting.read()
    del drifting.planner.accounts[ONE]
    await drifting.later()
    assert await drifting.known.known([ONE]) == {}
    assert list(await drifting.known.account_ids()) == [TWO]


async def test_a_reading_that_does_not_happen_is_unknown(drifting: DriftHouse) -> None:
    await drifting.read()
    drifting.house.clock.advance(SECONDS + 2 * 3600 + 60)
    found = (await drifting.known.of([ONE]))[ONE]
    assert found.outcome == "failed"
    assert "should have been planned again at" in found.reason


async def test_a_check_of_the_log_derives_the_same_rows(drifting: DriftHouse, tmp_path: Path) -> None:
    drifting.planner.accounts[ONE] = drift("role/fullstop")
    await drifting.read()
    assert (await checked(drifting.house, tmp_path)).findings == []
