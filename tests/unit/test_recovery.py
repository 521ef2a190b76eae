"""Recovery: ended containers are restarted, refused starts are failures, and a stop with the engine is not one."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.agent_world import DIGEST, World
from fakes.watched_world import APP, Watched
from landscape.endurance import repeated
from whence_agent.status.document import state_of
from whence_agent.watch.restarts import CRASH_LOOP_FAILURES, STABLE_SECONDS


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(World(tmp_path))


async def test_a_refused_start_is_a_failure_with_back_off_crash_loop_and_reason(
    watched: Watched,
) -> None:
    world = watched.world
    world.engine.refuses = "port is already allocated"
    world.engine.end(APP, 1)
    await watched.look()
    starts: list[float] = []
    for _ in range(CRASH_LOOP_FAILURES):
        began, before = world.ticks.now, len(world.engine.calls)
        while len(world.engine.calls) == before:
            await watched.look(after=0.5)
        starts.append(world.ticks.now - began)
    assert starts == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert watched.failures == [
        f"{APP} has failed 5 times in a row, last: the Docker Engine refused: port is already allocated"
    ]
    reasons = state_of(world.progress)[1]
    assert reasons[1] == (
        "the container is exited, exit code 128: the Docker Engine refused: port is already allocated"
    )
    assert world.statements()[-1].containers[0].error == "the Docker Engine refused: port is already allocated"
    assert world.progress.watched.engine_error == ""
    world.engine.refuses = ""
    await watched.look(after=40)
    await watched.look()
    container = world.progress.observed.container
    assert container is not None
    assert (container.state, container.error) == ("running", "")
    await watched.look(after=STABLE_SECONDS)
    assert world.progress.watched.crash_loops == {}


async def test_a_refused_start_does_not_delay_other_containers(watched: Watched) -> None:
    watched.world.engine.end(APP, 1)
    watched.world.engine.end(f"{APP}-proxy", 1)
    await watched.look()
    watched.world.engine.refuses = "no such device"
    await watched.look(after=1.1)
    assert watched.world.engine.calls == [f"start {APP}", f"start {APP}-proxy"]


async def test_a_sidecar_in_the_network_of_an_application_that_does_not_run_waits_for_it(watched: Watched) -> None:
    world = watched.world
    world.engine.add(f"{APP}-inside")
    watched.supervision.watch(f"{APP}-inside", digest=DIGEST, main=False, joins=APP)
    await watched.look()
    world.engine.end(APP, 0)
    world.engine.end(f"{APP}-inside", 1)
    await watched.look()
    await watched.look(after=30)
    assert world.engine.calls == []


async def test_sidecars_rejoin_the_network_of_an_application_restarted_by_hand(watched: Watched) -> None:
    world = watched.world
    world.engine.add(f"{APP}-inside")
    watched.supervision.watch(f"{APP}-inside", digest=DIGEST, main=False, joins=APP)
    await watched.look()
    assert world.engine.calls == []
    await world.engine.restart(APP)
    await watched.look()
    await watched.look()
    assert world.engine.calls == [f"restart {APP}", f"restart {APP}-inside"]


async def test_a_container_that_stays_removed_is_a_failure_and_a_replaced_one_is_not(watched: Watched) -> None:
    container = watched.world.engine.containers.pop(APP)
    await watched.look()
    await watched.look(after=30)
    watched.world.engine.containers[APP] = container
    await watched.look(after=31)
    assert watched.failures == []
    del watched.world.engine.containers[APP]
    await watched.look()
    await watched.look(after=61)
    await watched.look(after=61)
    assert watched.failures == [f"{APP} was removed"]
    assert watched.world.engine.calls == []


async def test_a_start_waits_for_an_unreachable_engine_and_is_not_a_failure(watched: Watched) -> None:
    world = watched.world
    world.engine.end(APP, 1)
    await watched.look()
    world.engine.down = True
    for _ in range(10):
        await watched.look(after=5)
    world.engine.down = False
    await watched.look()
    assert world.engine.calls == [f"start {APP}"]
    assert world.progress.watched.crash_loops == {}


# --- ends with the engine, and without it


class Life:
    """A model of an application on an engine, with the expected result. Each method is one event."""

    def __init__(self, world: World) -> None:
        self.watched = Watched(world)
        self.engine = world.engine
        self.engine.queue = asyncio.Queue()
        self.failures = 0
        self.ended_well = False
        """Whether the application last ended by itself, with exit code 0."""

    @property
    def runs(self) -> bool:
        return self.engine.containers[APP].facts.state == "running"

    @property
    def up(self) -> bool:
        return not self.engine.down and not self.engine.going_down

    async def exits_well(self) -> None:
        self.exits(0)

    async def exits_badly(self) -> None:
        self.exits(3)

    def exits(self, code: int) -> None:
        """End by itself. Not while the engine is down without live restore: the cause of the end would be unknown."""
        if self.runs and (self.up or self.engine.live_restore):
            down = self.engine.down
            self.engine.end(APP, code)
            if down:
                self.engine.memory.clear()
                self.engine.queue = asyncio.Queue()
            self.ended_well = code == 0
            self.failures += code != 0

    async def is_stopped_by_hand(self) -> None:
        if self.runs and self.up:
            self.engine.end(APP, 0, killed=True)
            self.watched.deliver()
            await self.watched.look()
            self.ended_well = True

    async def engine_begins_to_go_down(self) -> None:
        """Stop all containers; open connections, and so the event stream, continue meanwhile."""
        if self.up:
            self.engine.going_down = True
            for name, one in self.engine.containers.items():
                if one.facts.state == "running" and not self.engine.live_restore:
                    self.engine.end(name, 0, killed=True)

    async def engine_goes_down(self) -> None:
        if not self.engine.down:
            await self.engine_begins_to_go_down()
            self.engine.go_down()
            self.watched.deliver(ended=True)

    async def engine_goes_down_silently(self) -> None:
        """Close all connections before containers are stopped, as newer engines do."""
        if self.up:
            self.watched.deliver(ended=True)
            self.engine.go_down(exit_code=0)
            self.engine.queue = asyncio.Queue()

    async def engine_crashes(self) -> None:
        if not self.engine.down:
            self.engine.go_down(crash=True)
            self.watched.deliver(ended=True)

    async def engine_comes_up(self) -> None:
        if self.engine.down:
            self.engine.come_up(exit_code=0)

    async def events_end(self) -> None:
        """Break only the connection, after which supervision inspects at once."""
        if self.up:
            self.watched.deliver(ended=True)
            await self.watched.look()

    async def events_arrive(self) -> None:
        self.watched.deliver()

    async def somebody_looks(self) -> None:
        if self.runs:
            self.ended_well = False
        await self.watched.look(after=1)
        if self.runs:
            self.ended_well = False

    async def settle(self) -> None:
        if self.engine.going_down:
            await self.engine_goes_down()
        await self.engine_comes_up()
        for _ in range(6):
            self.watched.deliver()
            await self.watched.look(after=STABLE_SECONDS)


HAPPENINGS = (
    Life.exits_well, Life.exits_badly, Life.is_stopped_by_hand, Life.engine_begins_to_go_down, Life.engine_goes_down,
    Life.engine_goes_down_silently, Life.engine_crashes, Life.engine_comes_up, Life.events_end, Life.events_arrive,
    Life.somebody_looks,
)  # fmt: skip


@pytest.mark.endurance
@settings(max_examples=repeated(sample=40, whole=1000), deadline=None)
@given(happenings=st.lists(st.sampled_from(HAPPENINGS), max_size=14), live_restore=st.booleans())
def test_only_a_container_that_ended_by_itself_with_exit_code_0_stays_ended(
    happenings: list[object], live_restore: bool
) -> None:
    async def live() -> None:
        with tempfile.TemporaryDirectory() as directory:
            life = Life(World(Path(directory)))
            life.engine.live_restore = live_restore
            await life.watched.look()
            for happens in happenings:
                await happens(life)  # type: ignore[operator]  # hypothesis gives the functions back as objects
            await life.settle()
            assert life.runs == (not life.ended_well)
            assert life.watched.world.progress.watched.engine_error == ""
            assert life.failures >= CRASH_LOOP_FAILURES or life.watched.failures == []

    asyncio.run(live())
