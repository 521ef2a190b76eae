"""Whatever the order in which two senders plan, send, fail and die: each step once, in order, and none that was short."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.clocks import FakeClock
from fakes.notifications import FAILED, House, Killed, Receiver, Violations, everything
from whence_aggregator.notifications.destination import STEPS_DEFAULT
from whence_aggregator.notifications.feeding import message_id
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.violations.group import Group

SUBJECTS = ("greeter@1.0", "shop@2.0")
NEXT = {"": "opened", "opened": "acknowledged", "acknowledged": "fixed", "fixed": "reopened", "reopened": "fixed"}
NOTIFY_AFTER_SECONDS = 600.0
Action = tuple[str, int]
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(0, 1)),
        st.tuples(st.sampled_from(["turn", "feed", "deliver"]), st.integers(0, 1)),
        st.tuples(st.just("wait"), st.sampled_from([1, 30, 200, 700])),
        st.tuples(st.sampled_from(["fail", "die before", "die after"]), st.just(0)),
    ),
    min_size=6,
    max_size=24,
)


class World:
    """Two senders and two violations. `ops` hears everything, `patient` only of what stands for ten minutes.

    `busy` hears everything in two messages an hour.
    """

    def __init__(self, database: SqliteDatabase, number: int) -> None:
        self.clock = FakeClock()
        self.number = number
        self.history: list[tuple[int, str, str, float]] = []
        self.began = self.clock()
        self._state: dict[str, str] = dict.fromkeys(SUBJECTS, "")
        self._deaths = 0
        self.violations = Violations(database, self.clock, first=number * 1_000)
        self.ops, self.patient, self.busy = f"ops-{number}", f"patient-{number}", f"busy-{number}"
        destinations = [
            everything(self.ops),
            everything(self.busy, messages_per_hour_max=2),
            everything(self.patient, steps=frozenset(STEPS_DEFAULT), notify_after_seconds=NOTIFY_AFTER_SECONDS),
        ]
        self.receivers = {one.name: Receiver() for one in destinations}
        self.houses = [
            House(database, self.clock, destinations, holder=name, receivers=self.receivers) for name in "ab"
        ]

    @property
    def deaths(self) -> int:
        return self._deaths

    async def act(self, action: Action) -> None:
        name, number = action
        if name == "step":
            await self._step(SUBJECTS[number])
        elif name == "wait":
            self.clock.advance(number)
        elif name in ("turn", "feed", "deliver"):
            await self._work(name, self.houses[number])
        else:
            for one in self.receivers.values():
                if name == "fail":
                    one.answers.append(FAILED)
                else:
                    one.killed_before, one.killed_after = name == "die before", name == "die after"

    async def end(self) -> None:
        """Let everything work again until nothing is left to send."""
        for one in self.receivers.values():
            one.answers.clear()
            one.killed_before = one.killed_after = False
        for _ in range(5):
            self.clock.advance(14_400)
            await self._work("turn", self.houses[0])

    async def _step(self, subject: str) -> None:
        step = NEXT[self._state[subject]]
        seconds = (self.clock() - self.began).total_seconds()
        index = await self.violations.step(step, f"{subject}-{self.number}")
        self._state[subject] = step
        self.history.append((index, subject, step, seconds))

    async def _work(self, name: str, house: House) -> None:
        alive = sum(one.killed_before or one.killed_after for one in self.receivers.values())
        with suppress(Killed):
            if name == "feed":
                await house.feeding.feed()
            elif name == "turn":
                await house.turn()
            else:
                for each in await house.delivering.due():
                    await house.delivering.run(each)
        self._deaths += alive - sum(one.killed_before or one.killed_after for one in self.receivers.values())

    def wanted(self, name: str) -> list[int]:
        """Return what must arrive, by the history alone."""
        if name in (self.ops, self.busy):
            return [index for index, *_ in self.history]
        found = list[int]()
        for subject in SUBJECTS:
            episode: list[tuple[int, str, str, float]] = []
            for one in [each for each in self.history if each[1] == subject] + [(0, subject, "end", 1e12)]:
                if one[2] in ("opened", "reopened", "end") and episode:
                    ends = episode[1][3] - episode[0][3] if len(episode) > 1 else 1e12
                    found += [each[0] for each in episode] if ends > NOTIFY_AFTER_SECONDS else []
                    episode = []
                episode.append(one)
        return sorted(found)


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, SqliteDatabase, list[int]]]:
    with asyncio.Runner() as found:
        database = found.run(SqliteDatabase.open(tmp_path_factory.mktemp("notified") / "ledger.db"))
        yield found, database, [0]
        found.run(database.close())


@settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(actions=ACTIONS)
def test_every_step_arrives_once_and_in_order_through_failures_crashes_and_two_senders(
    runner: tuple[asyncio.Runner, SqliteDatabase, list[int]], actions: list[Action]
) -> None:
    loop, database, count = runner
    count[0] += 1
    loop.run(_checked(World(database, count[0]), actions))


async def _checked(world: World, actions: list[Action]) -> None:
    await world.houses[0].feeding.start()
    for one in actions:
        await world.act(one)
    await world.end()
    received = 0
    for name, receiver in world.receivers.items():
        arrived: dict[str, Any] = {one.id: one.notifications for one in reversed(receiver.got)}
        received += len(receiver.got) - len(arrived)
        stated = sorted(one.ledger_index for found in arrived.values() for one in found)
        assert stated == world.wanted(name), name
        for subject in SUBJECTS:
            violation = Group(rule="image-unsigned", kind="version", subject=f"{subject}-{world.number}").id
            first = list(dict.fromkeys(
                one.ledger_index for each in receiver.got for one in each.notifications if one.after.id == violation
            ))  # fmt: skip
            assert first == sorted(first)
            if name != world.busy:
                assert {message_id(name, violation, index) for index in first} <= arrived.keys()
    assert received <= world.deaths, "only what died after sending is sent again"
