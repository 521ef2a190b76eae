"""Supervision: failed containers are restarted, drift is reported, and each finding is reported once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fakes.agent_world import DIGEST, World
from fakes.watched_world import APP, Watched
from whence_agent.ports import EngineEvent
from whence_agent.ports_engine import HealthChecks
from whence_agent.status.document import state_of, what_to_do
from whence_agent.watch.restarts import CRASH_LOOP_FAILURES, STABLE_SECONDS, Restarts
from whence_agent.watch.supervision import CHANGES_MAX, CHANGES_SECONDS


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(World(tmp_path))


async def test_nothing_is_reported_while_nothing_changes(watched: Watched) -> None:
    for _ in range(3):
        await watched.look(after=5)
    assert watched.world.causes() == []


@pytest.mark.parametrize("name", [APP, f"{APP}-proxy"])
async def test_a_container_that_fails_is_reported_and_restarted_after_a_pause(watched: Watched, name: str) -> None:
    watched.world.engine.end(name, 1)
    await watched.look()
    assert watched.world.causes() == ["change"]
    assert watched.world.engine.calls == []
    await watched.look(after=1.1)
    assert watched.world.engine.calls == [f"start {name}"]
    await watched.look()
    (after,) = watched.world.statements()
    assert [one.restarts for one in after.containers if one.name == name] == [1]


async def test_one_failure_counts_once_over_several_inspections(watched: Watched) -> None:
    watched.world.engine.end(APP, 1)
    await watched.look()
    await watched.look(after=1.1)
    await watched.look(after=5)
    watched.world.engine.end(APP, 1)
    await watched.look()
    await watched.look(after=1.9)
    assert watched.world.engine.calls == [f"start {APP}"]
    await watched.look(after=0.1)
    assert watched.world.engine.calls == [f"start {APP}"] * 2


async def test_an_application_with_exit_code_0_stays_ended_and_its_end_is_handled(watched: Watched) -> None:
    watched.world.engine.end(APP, 0)
    await watched.look()
    await watched.look(after=600)
    assert (watched.ends, watched.world.engine.calls) == ([0], [])


async def test_pauses_double_and_five_failures_are_a_crash_loop_reported_once(watched: Watched) -> None:
    starts: list[float] = []
    for _ in range(CRASH_LOOP_FAILURES + 2):
        watched.world.engine.end(APP, 7)
        await watched.look()
        began = watched.world.ticks.now
        while len(watched.world.engine.calls) == len(starts):
            await watched.look(after=0.5)
        starts.append(watched.world.ticks.now - began)
    assert starts == sorted(starts)
    assert starts[:4] == [1.0, 2.0, 4.0, 8.0]
    assert len(watched.failures) == 1
    assert "failed 5 times in a row, last with 7" in watched.world.progress.watched.crash_loops[APP]
    assert any("crash loop" in reason for reason in state_of(watched.world.progress)[1])


async def test_each_container_has_a_crash_loop_of_its_own(watched: Watched) -> None:
    state, proxy = watched.world.progress.watched, f"{APP}-proxy"
    engine = watched.world.engine
    for rounds in range(1, CRASH_LOOP_FAILURES + 1):
        for name in (APP, proxy):
            engine.end(name, 7)
        await watched.look()
        while rounds < CRASH_LOOP_FAILURES and len(engine.calls) < 2 * rounds:
            await watched.look(after=0.5)
    assert [reason for reason in state_of(watched.world.progress)[1] if reason.startswith("crash loop")] == [
        f"crash loop: {APP} has failed 5 times in a row, last with 7",
        f"crash loop: {proxy} has failed 5 times in a row, last with 7",
    ]
    assert len(watched.failures) == 2
    assert state.end_crash_loop(APP)
    assert list(state.crash_loops) == [proxy]
    assert what_to_do(watched.world.progress, "degraded") == f"read the log: docker logs {proxy}"


async def test_a_long_run_ends_the_crash_loop(watched: Watched) -> None:
    watched.world.progress.watched.record_crash_loop(APP, f"{APP} has failed 5 times")
    await watched.look(after=STABLE_SECONDS + 1)
    assert watched.world.progress.watched.crash_loops == {}
    assert watched.world.causes() == ["change"]


def test_a_failure_after_a_long_run_counts_from_one() -> None:
    restarts = Restarts(started=0.0)
    for _ in range(4):
        restarts.ended(1.0, 1)
    assert restarts.ended(STABLE_SECONDS, 1).restart_seconds == 1.0


async def test_a_sidecar_in_the_applications_network_is_restarted_with_it(watched: Watched) -> None:
    world = watched.world
    world.engine.add(f"{APP}-inside")
    watched.supervision.watch(f"{APP}-inside", digest=DIGEST, main=False, joins=APP)
    world.engine.end(APP, 1)
    await watched.look()
    await watched.look(after=1.1)
    await watched.look()
    await watched.look()
    assert world.engine.calls == [f"start {APP}", f"restart {APP}-inside"]


async def test_an_undeclared_container_is_reported_once(watched: Watched) -> None:
    watched.world.engine.add("miner", digest="evil")
    await watched.look()
    await watched.look(after=5)
    (statement,) = watched.world.statements()
    assert [(one.kind, one.container, one.image) for one in statement.drift] == [
        ("container-undeclared", "miner", "evil")
    ]


async def test_an_undeclared_container_that_ends_before_an_inspection_is_reported_too(watched: Watched) -> None:
    assert watched.supervision.is_new_drift(EngineEvent(action="start", container_id="1", name="blink", image="evil"))
    assert not watched.supervision.is_new_drift(
        EngineEvent(action="start", container_id="2", name="platform-x", image="x")
    )
    assert watched.drift == [("container-undeclared", "blink")]


async def test_containers_of_the_platform_are_not_drift(watched: Watched) -> None:
    watched.world.engine.add("platform-logs")
    await watched.look()
    assert watched.drift == []


async def test_an_exec_is_reported_with_its_program_and_then_counted(watched: Watched) -> None:
    await watched.look()
    event = EngineEvent(action="exec_start", container_id="1", name=APP, image="x", detail="/bin/sh", command="c")
    assert watched.supervision.is_new_drift(event)
    assert not watched.supervision.is_new_drift(event)
    (drift,) = watched.world.progress.observed.drift
    assert (drift.kind, drift.detail, drift.count) == ("exec", "/bin/sh", 2)


@pytest.mark.parametrize("asked", ["running", APP, f"{APP}-proxy"])
@pytest.mark.parametrize(
    "event, kind",
    [
        (EngineEvent(action="exec_start", container_id="1", name=APP, image="x", detail="sh", command="c"), "exec"),
        (EngineEvent(action="start", container_id="2", name="blink", image="evil"), "container-undeclared"),
    ],
)
async def test_an_event_during_an_inspection_is_reported(
    watched: Watched, asked: str, event: EngineEvent, kind: str
) -> None:
    await watched.look()
    watched.world.engine.meanwhile[asked] = lambda: watched.supervision.record_event(event)
    await watched.look(after=5)
    await watched.look(after=5)
    (statement,) = watched.world.statements()
    assert [(one.kind, one.container) for one in statement.drift] == [(kind, event.name)]


async def test_an_exec_in_an_undeclared_container_is_not_reported(watched: Watched) -> None:
    assert not watched.supervision.is_new_drift(
        EngineEvent(action="exec_start", container_id="1", name="platform-logs", image="x")
    )


@pytest.mark.parametrize(
    "change, kind",
    [
        ({"image_digest": "sha256:" + "e" * 64}, "image-replaced"),
        ({"configuration": {"Image": "c0", "Memory": "m"}}, "configuration-changed"),
    ],
)
async def test_a_changed_container_is_reported(watched: Watched, change: dict[str, Any], kind: str) -> None:
    await watched.look()
    watched.world.engine.change(APP, **change)
    await watched.look(after=5)
    await watched.look(after=5)
    assert watched.drift == [(kind, APP)]
    assert watched.world.causes() == ["change"]
    assert state_of(watched.world.progress)[0] == "degraded"


async def test_a_removed_container_is_reported_with_the_next_step(watched: Watched) -> None:
    del watched.world.engine.containers[APP]
    await watched.look()
    await watched.look(after=5)
    assert watched.drift == [("container-removed", APP)]
    assert watched.world.causes() == ["change"]


def test_a_sidecars_crash_loop_points_at_the_sidecars_log(watched: Watched) -> None:
    watched.world.progress.watched.record_crash_loop(
        f"{APP}-proxy", f"{APP}-proxy has failed 5 times in a row, last with 7"
    )
    assert what_to_do(watched.world.progress, "degraded") == f"read the log: docker logs {APP}-proxy"


async def test_an_unreachable_engine_is_a_reason_on_the_status_and_not_a_change(watched: Watched) -> None:
    watched.world.engine.down = True
    await watched.look()
    assert watched.world.causes() == []
    assert "does not answer" in state_of(watched.world.progress)[1][0]
    watched.world.engine.down = False
    await watched.look()
    assert watched.world.progress.watched.engine_error == ""


async def test_an_application_that_stopped_with_its_engine_is_restarted_even_after_exit_code_0(
    watched: Watched,
) -> None:
    watched.world.engine.go_down(exit_code=0)
    await watched.look()
    watched.world.engine.come_up()
    await watched.look()
    await watched.look()
    assert watched.world.engine.calls == [f"start {APP}", f"start {APP}-proxy"]
    assert watched.ends == []


async def test_many_undeclared_containers_are_reported_completely_in_a_bounded_number_of_statements(
    watched: Watched,
) -> None:
    for number in range(CHANGES_MAX * 2):
        watched.world.engine.add(f"stranger-{number}")
        await watched.look(after=1)
    assert len(watched.world.statements()) == CHANGES_MAX
    await watched.look(after=CHANGES_SECONDS)
    (last,) = watched.world.statements()
    assert last.drift[-1].container == f"stranger-{CHANGES_MAX * 2 - 1}"


async def test_nothing_is_restarted_after_draining(watched: Watched) -> None:
    watched.world.progress.watched.ending = "spot notice"
    watched.world.engine.end(APP, 143)
    await watched.look()
    await watched.look(after=600)
    assert watched.world.engine.calls == []


async def test_an_event_causes_an_inspection_at_once(watched: Watched) -> None:
    world = watched.world
    world.progress.boot.booted.set()
    running = asyncio.create_task(watched.supervision.run())
    try:
        world.engine.end(APP, 0)
        world.engine.queue.put_nowait(EngineEvent(action="die", container_id="1", name=APP, image="x"))
        async with asyncio.timeout(5):
            await watched.ended.wait()
    finally:
        running.cancel()
    assert world.pulse.silent() == []
    assert len(world.engine.followed_since) == 1
    assert world.engine.followed_since[0] > 0, "what happened since the declaration is asked for as well"


async def test_an_exec_before_the_first_inspection_is_reported_too(watched: Watched) -> None:
    event = EngineEvent(action="exec_start", container_id="1", name=APP, image="x", detail="/bin/sh", command="c")
    assert not watched.supervision.is_new_drift(event)
    await watched.look()
    assert watched.drift == [("exec", APP)]


async def test_a_health_check_with_a_log_entry_is_not_drift_and_the_same_command_without_one_is(
    watched: Watched,
) -> None:
    def checked(*log: tuple[float, float]) -> None:
        watched.world.engine.change(APP, checks=HealthChecks(command="check", seconds_max=5.0, log=log))

    def executed(at: float) -> None:
        event = EngineEvent(action="exec_start", container_id="1", name=APP, image="x", command="check", at=at)
        watched.supervision.record_event(event)

    checked()
    await watched.look()
    executed(100.1)
    await watched.look()
    checked((100.0, 100.2))
    await watched.look(after=60)
    assert watched.drift == []
    executed(110.1)
    executed(110.2)
    checked((100.0, 100.2), (110.0, 110.3))
    await watched.look()
    assert watched.drift == []
    await watched.look(after=16)
    assert watched.drift == [("exec", APP)]


@pytest.mark.parametrize("name", [APP, f"{APP}-proxy"])
async def test_the_images_health_check_is_a_reason_on_the_status_and_is_stated(watched: Watched, name: str) -> None:
    engine = watched.world.engine
    engine.change(name, engine_health="starting")
    await watched.look()
    assert state_of(watched.world.progress)[1] == ["1 statements are not acknowledged: delivery is in progress"]
    assert watched.world.causes() == ["change"]
    engine.change(name, engine_health="healthy")
    await watched.look()
    assert watched.world.causes() == []
    engine.change(name, engine_health="unhealthy")
    await watched.look()
    (statement,) = watched.world.statements()
    assert [one.engine_health for one in statement.containers if one.name == name] == ["unhealthy"]
    assert "is unhealthy: the health check of its image fails" in state_of(watched.world.progress)[1][0]
    engine.change(name, engine_health="healthy")
    await watched.look()
    assert watched.world.causes() == ["change"]


async def test_health_survives_an_inspection(watched: Watched) -> None:
    state = watched.world.progress.watched
    assert state.container is not None
    state.record_container(msgspec.structs.replace(state.container, health="unhealthy"), main=True)
    await watched.look()
    assert state.container.health == "unhealthy"
