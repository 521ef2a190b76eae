"""Whatever is recorded after a question about a time: the same pair of `at` and `known_at` has the same answer, on SQLite."""

from __future__ import annotations

import asyncio
import random
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.in_process import InProcess
from fakes.machine import COMMIT, DIGEST, Machine
from fakes.signing_authority import SigningAuthority
from landscape.endurance import repeated
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.lineage import LinkName
from whence_aggregator.trace.search import Wanted
from whence_aggregator.trace.state import States
from whence_common.clock import to_instant
from whence_common.statement import ApplicationFacts

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 2), st.integers(-90, 90)),
        st.tuples(st.just("hold"), st.integers(0, 2), st.integers(-90, 90)),
        st.tuples(st.just("deliver"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("enrol"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("register"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("collect"), st.just(0), st.just(0)),
    ),
    min_size=3, max_size=14,
)  # fmt: skip
_AUTHORITY = SigningAuthority.make()
_DATED: tuple[LinkName, ...] = ("account", "team", "instance", "user_data", "application", "version")


@given(steps=STEPS, seed=st.integers(0, 2**32))
@pytest.mark.endurance
@settings(max_examples=repeated(sample=12, whole=200), deadline=None)
def test_the_same_pair_always_has_the_same_answer(steps: list[tuple[str, int, int]], seed: int) -> None:
    """Whatever is recorded after a question, in whatever order and with whatever clocks."""
    asyncio.run(_same_answers(steps, random.Random(seed)))


async def _same_answers(steps: list[tuple[str, int, int]], chance: random.Random) -> None:
    with tempfile.TemporaryDirectory() as directory:
        database = await SqliteDatabase.open(Path(directory) / "ledger.db")
        async with InProcess(database, _AUTHORITY).running() as house:
            world = _World(house)
            answers: dict[tuple[str, str], bytes] = {}
            for step in steps:
                house.clock.advance(60)
                await world.do(*step)
                house.clock.advance(2)  # a younger time would be waited for
                known = house.clock() - timedelta(seconds=chance.choice([1, 30, 90, 400]))
                pair = to_instant(known - timedelta(seconds=chance.choice([0, 30, 90, 400]))), to_instant(known)
                answers[pair] = await world.answer(*pair)
                for asked, answer in answers.items():
                    assert await world.answer(*asked) == answer, asked
            for when, known_at in answers:
                assert await world.recorded(when, known_at) <= await world.recorded(when, None), when
        await database.close()


class _World:
    """Three machines, of which some have enrolled, and statements that were not delivered yet."""

    def __init__(self, house: InProcess) -> None:
        self._house = house
        self._machines = [Machine(house.authority, f"i-{number:017x}") for number in range(3)]
        self._enrolled: set[int] = set()
        self._held: dict[int, list[bytes]] = {}

    async def do(self, what: str, number: int, minutes: int) -> None:
        house, observed = self._house, self._house.clock() + timedelta(minutes=minutes)
        if what in ("say", "hold", "enrol", "deliver") and number not in self._enrolled:
            await house.enrol(self._machines[number])
            self._enrolled.add(number)
        if what in ("say", "hold"):
            machine = self._machines[number]
            application = ApplicationFacts(id="greeter", version=str(machine.sequence))
            content = machine.statement(observed_at=to_instant(observed), application=application)
            self._held.setdefault(number, []).append(content)
        if what in ("say", "deliver") and self._held.get(number):
            await house.ingest.accept(self._held[number].pop())
        if what == "register":
            await house.register(team_id=f"team-{number}", name=str(minutes))
        if what == "collect":
            house.sources.commits[COMMIT] = b"tree a\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nDEMO-1: x"
            await house.work()

    async def recorded(self, when: str, known_at: str | None) -> set[tuple[str, str, str]]:
        """Return what statements and owners that were recorded by a time say of each machine."""
        moment = await self._house.tracer.moments.of(when, known_at)
        lineages = await self._house.tracer.instances([one.instance_id for one in self._machines], moment=moment)
        return {
            (one.instance_id, name, msgspec.json.encode(one.link(name).to_wire()).decode())
            for one in lineages
            for name in _DATED
            if not one.late
        }

    async def answer(self, when: str, known_at: str) -> bytes:
        house = self._house
        moment = await house.tracer.moments.of(when, known_at)
        said: list[object] = []
        filters: list[dict[str, Any]] = [{}, {"image": DIGEST}, {"commit": COMMIT}, {"ticket": "DEMO-1"}]
        for wanted in filters:
            said.append(
                await house.search.instances(Wanted(**wanted, moment=moment, states=States()), after="", limit=50)
            )
        ids = [one.instance_id for one in self._machines]
        lineages = [one.to_wire() for one in await house.tracer.instances(ids, moment=moment)]
        assert {row["instance_id"] for row in said[0][0]} == {one["subject"]["instance"] for one in lineages}  # type: ignore[index]
        return msgspec.json.encode([said, [{**one, "checkpoint": ""} for one in lineages]])
