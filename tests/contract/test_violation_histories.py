"""Random histories of all that moves violations: lists in memory, lists of any earlier time, and rebuilds agree."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contract.test_grouped_violations import ACCOUNT, HELLO, OPERATOR, Asked, served
from fakes.auditor import checked
from fakes.findings import AFTER_THE_SCANS
from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST, scm
from fakes.signing_authority import SigningAuthority
from landscape.endurance import repeated
from whence_aggregator.audit.rebuild import rebuild
from whence_aggregator.notifications.destination import Destination
from whence_aggregator.notifications.feeding import Feeding
from whence_aggregator.ports import BranchAnswer, Database, SourceUnavailable
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.moment import Moments
from whence_aggregator.violations.kept import KeptViolations
from whence_common.clock import to_instant
from whence_common.statement import ApplicationFacts

HISTORIES, STEPS = repeated(sample=1, whole=60), repeated(sample=8, whole=25)
LAUNCHED = "2026-11-22T11:59:59.000Z"
PLACE = f"{ACCOUNT}/eu-central-1"
AWAY = SourceUnavailable("registry-unreachable", "away")
GIT_AWAY = SourceUnavailable("git-refused", "the Git server is away")
UNREACHED = BranchAnswer(branch="main", commit_id="f" * 40, reachable=False, reached_by=())
UNTIL_SECONDS = 86_400.0 * 5


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """SQLite alone: the same queries run on both databases in other tests."""
    opened = await SqliteDatabase.open(tmp_path / "ledger.db")
    yield opened
    await opened.close()


class History:
    """What happens at random, and what was listed after each step."""

    def __init__(self, asked: Asked, dice: random.Random) -> None:
        self.asked, self.house, self.dice = asked, asked.house, dice
        self.feeding = Feeding(
            database=self.house.database, now=self.house.clock,
            destinations=[
                Destination(name="all", kind="webhook", host="a"),
                Destination(name="hello", kind="mail", host="b", teams=frozenset({"hello"}), notify_after_seconds=300.0),
            ],
        )  # fmt: skip
        self.machines: list[Any] = []
        self.then: list[tuple[str, list[dict[str, Any]]]] = []

    async def step(self) -> None:
        house, dice = self.house, self.dice
        match dice.randrange(11):
            case 0 | 1 | 2:
                await house.register("greeter", team_id=dice.choice(["hello", "evil"]))
            case 3:
                house.sources.images[DIGEST] = dice.choice([None, AWAY])
                house.sources.branches[COMMIT] = UNREACHED if dice.random() < 0.5 else GIT_AWAY
            case 4:
                house.ec2.away = dice.random() < 0.5
                for one in self.machines:
                    house.ec2.listed[one.instance_id] = (dice.choice(["running", "terminated"]), LAUNCHED)
                with suppress(SourceUnavailable):
                    await house.inventory.collect(PLACE)
            case 5:
                await self.asked.push("prowler.ocsf.json")
            case 6:
                house.clock.advance(dice.choice([1.0, 600.0, 86_400.0, 6 * 86_400.0]))
            case _:
                await self.act()
        if self.machines and dice.random() < 0.7:
            version = dice.choice(["1.0", "2.0"])
            await house.say(
                dice.choice(self.machines), scm_source=scm(status=dice.choice(["", "M x"])),
                application=ApplicationFacts(id="greeter", version=version),
            )  # fmt: skip

    async def act(self) -> None:
        found = await self.asked.list(status="any", limit="200")
        if not found:
            return
        one = self.dice.choice(found)
        path, token = f"/v1/violations/{one['id']}", self.dice.choice([HELLO, OPERATOR, "evil", "root"])
        until = to_instant(self.house.clock() + timedelta(seconds=UNTIL_SECONDS))
        match self.dice.randrange(4):
            case 0:
                await self.asked.post(f"{path}/acknowledge", token, comment="seen")
            case 1:
                await self.asked.post(f"{path}/exempt", token, reason="moved", until=until)
            case 2:
                await self.asked.post(f"{path}/undo", token)
            case _:
                shown = {"dry_run": True, "reason": "r", "until": until, "scope": {"account": ACCOUNT}}
                seen = await self.asked.post(f"{path}/exempt", token, **shown)
                if "covers" in seen:
                    granted = {**shown, "dry_run": False, "covers": seen["covers"]}
                    await self.asked.post(f"{path}/exempt", token, **granted)

    async def listed(self, **moment: str) -> list[dict[str, Any]]:
        """Return all violations without the numbers of their instances, which no earlier moment has."""
        found = await self.asked.list(status="any", limit="500", **moment)
        return [
            {name: value for name, value in one.items() if name not in ("members", "not_confirmed")} for one in found
        ]

    async def remember(self) -> None:
        at = to_instant(self.house.clock())
        then = await self.listed(at=at, known_at=at)
        assert then == await self.listed(), "now, and as of now"
        self.then.append((at, then))
        self.house.clock.advance(1.0)


@pytest.mark.endurance
@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_random_histories_are_listed_alike_from_memory_from_the_log_and_after_a_rebuild(
    database: Database, authority: SigningAuthority, seed: int, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    async with InProcess(database, authority).running() as house:
        await house.register("greeter")
        async with served(house) as asked:
            history = History(asked, dice)
            history.machines += [await house.machine(f"i-0123456789abcde{n:02}") for n in range(3)]
            house.clock.moment = AFTER_THE_SCANS
            await history.feeding.start()
            kept = KeptViolations(database)
            for _ in range(STEPS):
                await history.step()
                if dice.random() < 0.6:
                    await asked.follow()
                    if dice.random() < 0.5:
                        await asked.recorder.follow_moved(-1)
                while await history.feeding.feed():
                    pass
                await history.remember()
                assert list(await kept.current()) == list(await KeptViolations(database).current())
            moment = await Moments(database=database, now=house.clock).of()
            fresh = list(await KeptViolations(database).of(moment))
            everything = {"grouped": "true", "status": "any", "limit": "500", "facets": "true"}
            before = await asked.get("/v1/violations", **everything)
            assert [one.id for one in fresh] == sorted(one["id"] for one in before["violations"])
            assert (await checked(house, tmp_path)).findings == []
            await rebuild(database, house.reader)
            after = await asked.get("/v1/violations", **everything)
            assert after == before
            assert list(await KeptViolations(database).of(moment)) == fresh
            for at, then in history.then:
                assert await history.listed(at=at, known_at=at) == then, at
