"""A whole boot without engine or AWS: what it does before, between and after the stages, and when one of them fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fakes.agent_world import FakeEngine, FakeNotices, World
from fakes.boot_stages import APP, FakeStages, user_data
from fakes.clocks import a_day
from whence_agent.boot.adoption import AdoptStage
from whence_agent.boot.boot import Boot
from whence_agent.boot.disk_retries import DiskRetries
from whence_agent.boot.failure import FailedBoot
from whence_agent.boot.handover import Handover
from whence_agent.boot.run import Runner, RunningContainers
from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.boot.tries import BootTries
from whence_agent.boot.warm_pool import WarmPool
from whence_agent.patience import Patience
from whence_agent.ports import EngineFailed, Notices, RegistryRefused
from whence_agent.report.announcement import Announcer
from whence_agent.watch.draining import Ending
from whence_agent.watch.health import HealthWatch
from whence_agent.watch.metrics import HostMetrics
from whence_agent.watch.supervision import Supervision
from whence_common.backoff import Backoff
from whence_common.user_data.judge import Announcement, UserData
from whence_common.user_data.lifecycle import LifecycleHooks, OnFailure

NO_PAUSE = Backoff(first_seconds=0.001, longest_seconds=0.002, random=lambda: 0.5)
AWAY = RegistryRefused("registry-unreachable", "HTTP 503")
DENIED = RegistryRefused("registry-refused", "denied", retryable=False)
_TURNS_AFTER = 50
"""Turns of the event loop within which a boot finishes after its last line on the console."""
STARTED = ["identity", "user-data", "enrol"]
ACTED = [*STARTED, "credentials", "secrets", "image", "host", "storage", "pull", "run", "health", "load-balancer"]


class NoDelivery:
    """A delivery that delivers nothing, and counts the calls."""

    flushed = 0

    async def flush(self, *, seconds_max: float) -> None:
        self.flushed += 1


class StuckEngine(FakeEngine):
    """A helper that does nothing."""

    async def stop(self, name: str, *, seconds_max: int = 10, remove: bool = True) -> None:
        raise EngineFailed("engine-refused", "the device is busy", retryable=False)


class NoCredentials:
    """A credentials stage for adopted containers; it can raise a disk error."""

    refusals = 0
    kept = 0

    async def keep(self, user_data: UserData) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError(28, "No space left on device")
        self.kept += 1


class Booted:
    """A machine that boots with fake stages, each of which can be made to fail."""

    def __init__(self, world: World, asked: UserData | None = None, *, on_failure: OnFailure = "hold") -> None:
        self.world, self.asked = world, asked or user_data()
        self.stages = FakeStages(world, self.asked)
        self.said: list[str] = []
        self.ended = asyncio.Event()
        self.delivery, self.credentials = NoDelivery(), NoCredentials()
        self.metadata = FakeNotices()
        patience = Patience(backoff=NO_PAUSE)
        self.runner = Runner(
            settings=self.stages.settings, gid=999, engine=world.engine, containers=world.engine, patience=patience
        )
        self.announcer = Announcer(
            signals=world.account, progress=world.progress, patience=patience, seconds_max=0.5, up_seconds=a_day,
            on_failure=on_failure,
        )  # fmt: skip
        self.ending = Ending(
            engine=world.engine, machine=world.machine, load_balancers=world.account, announcer=self.announcer,
            reporter=world.reporter, delivery=self.delivery, progress=world.progress,  # type: ignore[arg-type]  # flush
        )  # fmt: skip
        self.boot = self._boot(patience)
        self.stages["run"].work = self._start
        self.stages["notify"].wanted = False

    def _say(self, line: str) -> None:
        self.said.append(line)
        if "next try" not in line:
            self.ended.set()

    async def _start(self, _: ObservedSoFar, handle: StageHandle) -> Observation:
        self.world.engine.add(APP)
        return RunningContainers(application=self.world.engine.containers[APP].facts)

    def _boot(self, patience: Patience) -> Boot:
        world, progress = self.world, self.world.progress
        return Boot(
            progress=progress, bring_up=self.stages.bring_up, runner=self.runner,
            adopting=AdoptStage(key=world.key, runner=self.runner, container_name=APP, boot_id=progress.boot_id),
            credentials=self.credentials,  # type: ignore[arg-type]  # as far as `keep` goes
            pool=WarmPool(metadata=self.metadata, patience=patience),  # type: ignore[arg-type]  # as far as notices go
            handover=self._handover(), disk=DiskRetries(progress=progress.boot), announcer=self.announcer,
            failure=FailedBoot(
                progress=progress, bring_up=self.stages.bring_up, announcer=self.announcer, reporter=world.reporter,
                delivery=self.delivery,  # type: ignore[arg-type]  # as far as `flush` goes
                notifier=world.notifier, redactor=world.redactor, tries=BootTries(backoff=NO_PAUSE),
                console=self._say,
            ),
            reporter=world.reporter, notifier=world.notifier, console=self._say,
        )  # fmt: skip

    def _handover(self) -> Handover:
        world = self.world
        supervision = Supervision(
            engine=world.engine, life=world.engine, progress=world.progress, reporter=world.reporter, pulse=world.pulse,
            watch_seconds=5.0, platform_containers=[], on_end=self.ending.application_ended,
            on_failure=self.announcer.failed,
        )  # fmt: skip
        health = HealthWatch(
            probe=None,  # type: ignore[arg-type]  # nothing asks it before the boot is over
            progress=world.progress, reporter=world.reporter, pulse=world.pulse, address="127.0.0.1", seconds=1.0,
        )  # fmt: skip
        metrics = HostMetrics(
            sink=None,  # type: ignore[arg-type]  # nothing puts any before the boot is over
            progress=world.progress, seconds=1.0, read=dict,
        )  # fmt: skip
        return Handover(
            settings=self.stages.settings, supervision=supervision, health=health, metrics=metrics, ending=self.ending
        )

    async def settled(self) -> None:
        """Run the service until the boot has succeeded or failed finally."""
        running = asyncio.create_task(self.boot.run())
        try:
            async with asyncio.timeout(30):
                await self.ended.wait()
            for _ in range(_TURNS_AFTER):
                await asyncio.sleep(0)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_boot_runs_all_stages_and_reports_success(world: World) -> None:
    booted = Booted(world)
    await booted.settled()
    assert booted.stages.ran == ACTED
    assert booted.said == ["SUCCESS: running greeter 1.0"]
    assert world.notifier.told == ["ready", "running greeter 1.0"]
    assert world.causes() == ["boot"]
    assert world.progress.boot.booted.is_set()
    assert booted.ending.containers == {APP: 30}


async def test_the_containers_are_declared_before_the_result_is_announced(world: World) -> None:
    booted = Booted(world)
    declared: list[str] = []

    async def tell(_: ObservedSoFar, __: StageHandle) -> Observation:
        declared.extend(booted.ending.containers)
        return Observation()

    booted.stages["notify"].work, booted.stages["notify"].wanted = tell, True
    await booted.settled()
    assert declared == [APP]


@pytest.mark.parametrize("name", ACTED)
async def test_after_a_failed_stage_no_container_runs_and_the_failure_is_announced(world: World, name: str) -> None:
    booted = Booted(world)
    world.engine.add(APP)
    booted.stages.fails(name, DENIED)
    await booted.settled()
    assert booted.stages.ran == ACTED[: ACTED.index(name) + 1]
    assert world.engine.containers == {}
    assert world.progress.observed.container is None
    assert world.progress.boot.state == "failed"
    assert world.causes() == ["failed"]
    assert booted.said == [f"ERROR: boot failed at {name}: denied"]
    assert booted.delivery.flushed == 1


async def test_a_failed_boot_shows_the_problems_of_its_stage(world: World) -> None:
    booted = Booted(world)
    booted.stages.fails("image", DENIED)
    await booted.settled()
    assert [problem.code for problem in world.progress.observed.problems] == ["registry-refused"]


@pytest.mark.parametrize(("policy", "told"), [("terminate", "terminate"), ("unhealthy", "unhealthy")])
async def test_a_failed_boot_applies_the_policy(world: World, policy: OnFailure, told: str) -> None:
    booted = Booted(world, on_failure=policy)
    booted.stages.fails("pull", AWAY)
    await booted.settled()
    assert world.account.told == [f"{told} i-0123456789abcdef0"]


async def test_with_retry_the_whole_table_runs_again(world: World) -> None:
    booted = Booted(world, on_failure="retry")
    booted.stages.fails("pull", AWAY, AWAY)
    await booted.settled()
    failed = ACTED[: ACTED.index("pull") + 1]
    assert booted.stages.ran == [*failed, *failed, *ACTED]
    assert world.progress.boot.tries.number == 3
    assert world.causes() == ["failed", "boot"], "one failure is stated once"


async def test_with_retry_a_permanent_error_ends_the_tries(world: World) -> None:
    booted = Booted(world, on_failure="retry")
    booted.stages.fails("image", DENIED)
    await booted.settled()
    assert world.progress.boot.tries.given_up == "not tried again: the error is permanent for this user data"


async def test_a_container_that_may_still_run_after_a_failure_stays_on_the_status(world: World) -> None:
    world.engine = StuckEngine()
    booted = Booted(world)

    async def work(_: ObservedSoFar, handle: StageHandle) -> Observation:
        world.engine.add(APP)
        handle.observed(RunningContainers(application=world.engine.containers[APP].facts))
        raise EngineFailed("engine-refused", "the port is in use", retryable=False)

    booted.stages["run"].work = work
    await booted.settled()
    assert "a container may still run" in world.progress.watched.engine_error
    assert world.progress.observed.container is not None


async def test_maintenance_tears_down_and_runs_nothing(world: World) -> None:
    booted = Booted(world, user_data(b"start: false\n"))
    for name in ("run", "health", "load-balancer"):
        booted.stages[name].wanted = False
    world.engine.add(APP)
    await booted.settled()
    assert world.engine.containers == {}
    assert world.progress.boot.maintenance
    assert booted.said == ["SUCCESS: maintenance, no container of greeter 1.0"]


# --- the agent starts again while its containers run


async def booted_before(world: World) -> Booted:
    before = Booted(world)
    await before.settled()
    world.progress.watched.clear_containers()
    return Booted(world)


async def test_the_containers_of_this_boot_are_adopted_and_nothing_acts(world: World) -> None:
    booted = await booted_before(world)
    await booted.settled()
    assert booted.stages.ran == [*STARTED, "run"]
    assert world.progress.boot.stages["run"].reason == "the containers of this boot already run"
    assert world.progress.observed.container is not None
    assert booted.ending.containers == {APP: 30}
    assert booted.credentials.kept == 1


@pytest.mark.parametrize("change", ["ended", "another", "gone"])
async def test_changed_containers_are_not_adopted(world: World, change: str) -> None:
    booted = await booted_before(world)
    if change == "ended":
        world.engine.end(APP, 1)
    elif change == "another":
        world.engine.change(APP, container_id="another")
    else:
        del world.engine.containers[APP]
    await booted.settled()
    assert booted.stages.ran == [*STARTED, "run", *ACTED[3:]]


async def test_containers_of_other_user_data_are_not_adopted(world: World) -> None:
    await booted_before(world)
    other = Booted(world, user_data(b"shutdown: on-exit\n"))
    await other.settled()
    assert other.stages.ran == ACTED


async def test_a_write_refused_by_a_full_disk_is_on_the_status_until_it_succeeds(world: World) -> None:
    booted = await booted_before(world)
    booted.credentials.refusals = 1
    await booted.settled()
    assert "credentials cannot be written to disk" in world.progress.boot.disk_faults["credentials"]
    await booted.boot.disk.try_again()
    assert (world.progress.boot.disk_faults, booted.credentials.kept) == ({}, 1)


# --- warm pools


async def test_the_warm_pool_state_is_known_before_the_acting_stages(world: World) -> None:
    booted = Booted(world)
    booted.announcer.configure(
        Announcement(lifecycle_hooks=LifecycleHooks(group="pay", launching=None, terminating=None))
    )
    booted.metadata.found = Notices(lifecycle_state="Warmed:Running")
    pools: list[str] = []

    async def work(_: ObservedSoFar, __: StageHandle) -> Observation:
        pools.append(world.progress.watched.pool)
        return Observation()

    booted.stages["credentials"].work, booted.stages["notify"].wanted = work, True
    await booted.settled()
    assert pools == ["Warmed:Running"]
    assert booted.stages.ran[-1] == "notify"
