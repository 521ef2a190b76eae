"""The order and the failures of the boot, without engine, AWS or registry: the stages are fakes, the table is real."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from fakes.agent_world import DIGEST, World
from fakes.boot_stages import APP, FakeStages, user_data
from whence_agent.boot.adoption import AdoptedContainers
from whence_agent.boot.bring_up import BringUp, record
from whence_agent.boot.identity import Identified
from whence_agent.boot.pull import StatedSource
from whence_agent.boot.run import RunningContainers
from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.boot.user_data import Judged, JudgedDocument, JudgeStage
from whence_agent.ports import EngineFailed, RegistryRefused
from whence_agent.progress.stage import StageFailed
from whence_agent.stage_table import STAGES, Phase, row_of
from whence_agent.status.document import status_document
from whence_common.problems import Problem
from whence_common.statement import ContainerFacts, DriftFacts, ImageFacts, ScmSourceFacts, UserDataFacts
from whence_common.user_data.judge import Announcement

ACTING = ["credentials", "secrets", "image", "host", "storage", "pull", "run", "health", "load-balancer"]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def stages(world: World) -> FakeStages:
    return FakeStages(world, user_data())


async def brought_up(stages: FakeStages, phases: Sequence[Phase] = ("judge", "act", "announce")) -> ObservedSoFar:
    so_far = ObservedSoFar()
    for phase in phases:
        so_far = await stages.bring_up.run(phase, so_far)
    return so_far


# --- the order


async def test_the_stages_run_in_the_order_of_the_table(stages: FakeStages) -> None:
    await brought_up(stages)
    assert stages.ran == ["identity", "user-data", "enrol", *ACTING, "notify"]


async def test_a_phase_runs_its_own_stages_only(stages: FakeStages) -> None:
    await brought_up(stages, ["judge"])
    assert stages.ran == ["identity", "user-data", "enrol"]


@pytest.mark.parametrize("name", [row.name for row in STAGES])
async def test_a_stage_receives_only_what_its_row_in_the_table_needs(stages: FakeStages, name: str) -> None:
    await brought_up(stages)
    (saw,) = stages[name].saw
    assert list(saw.found) == [row.name for row in STAGES if row.name in row_of(name).needs]


def test_a_stage_that_requests_what_its_row_does_not_need_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="no earlier stage has observed Identified"):
        ObservedSoFar().of(Identified)


async def test_a_stage_that_user_data_does_not_need_is_skipped(world: World, stages: FakeStages) -> None:
    stages["host"].wanted = stages["storage"].wanted = False
    await brought_up(stages)
    assert stages.ran == [
        "identity", "user-data", "enrol", "credentials", "secrets", "image", "pull", "run", "health", "load-balancer",
        "notify",
    ]  # fmt: skip
    assert "host" not in [one["name"] for one in status_document(world.progress)["stages"]]
    (saw,) = stages["run"].saw
    assert list(saw.found) == ["identity", "user-data", "credentials", "secrets", "pull"]


def test_stages_in_another_order_are_a_bug(world: World, stages: FakeStages) -> None:
    with pytest.raises(AssertionError, match="stages differ from the table"):
        BringUp(settings=stages.settings, progress=world.progress, stages=[*stages.by_name.values()][::-1])


# --- failures


@pytest.mark.parametrize("number", range(len(ACTING)))
async def test_nothing_runs_after_a_stage_that_failed(world: World, stages: FakeStages, number: int) -> None:
    stages.fails(ACTING[number], RegistryRefused("registry-unreachable", "HTTP 503", fix="see whether it runs"))
    with pytest.raises(StageFailed) as failed:
        await brought_up(stages)
    assert stages.ran == ["identity", "user-data", "enrol", *ACTING[: number + 1]]
    assert (failed.value.stage, failed.value.transient) == (ACTING[number], True)
    stage = world.progress.boot.stages[ACTING[number]]
    assert (stage.outcome, stage.reason) == ("failed", "HTTP 503 (see whether it runs)")


async def test_a_permanent_error_makes_the_failure_permanent(stages: FakeStages) -> None:
    stages.fails("run", EngineFailed("engine-refused", "the port is in use", retryable=False))
    with pytest.raises(StageFailed) as failed:
        await brought_up(stages)
    assert (failed.value.problems[0].code, failed.value.transient) == ("engine-refused", False)


@pytest.mark.parametrize("name", ["secrets", "image", "host", "pull", "run", "load-balancer"])
async def test_a_stage_ends_at_its_deadline(world: World, name: str) -> None:
    stages = FakeStages(world, user_data(), **{name.replace("-", "_"): 0.01})
    stages.hangs(name)
    with pytest.raises(StageFailed) as failed:
        await brought_up(stages)
    assert failed.value.problems[0].code == "stage-deadline"
    assert stages.ran[-1] == name


async def test_user_data_sets_the_deadline_of_health(world: World, stages: FakeStages) -> None:
    deadlines = []

    async def work(_: ObservedSoFar, handle: StageHandle) -> Observation:
        deadlines.append(handle.stage.deadline)
        return Observation()

    stages["health"].work = stages["run"].work = work
    await brought_up(stages)
    assert deadlines == [world.ticks.now + 180.0, world.ticks.now + 45.0]


async def test_a_part_of_a_stage_has_a_deadline_of_its_own(stages: FakeStages) -> None:
    async def work(_: ObservedSoFar, handle: StageHandle) -> Observation:
        with pytest.raises(TimeoutError):
            async with handle.part(0.0):
                await asyncio.Event().wait()
        return Observation(note="went on")

    stages["storage"].work = work
    assert (await brought_up(stages)).found["storage"].note == "went on"


async def test_a_deferred_stage_does_not_end_the_boot(world: World, stages: FakeStages) -> None:
    stages["enrol"].found = Observation(deferred=True, note="the aggregator did not answer in time")
    await brought_up(stages)
    stage = world.progress.boot.stages["enrol"]
    assert (stage.outcome, stage.reason) == ("deferred", "the aggregator did not answer in time")
    assert stages.ran[-1] == "notify"


# --- what is recorded


async def test_what_the_stages_observed_is_recorded(world: World, stages: FakeStages) -> None:
    await brought_up(stages)
    observed = world.progress.observed
    assert observed.identity == world.identity
    assert observed.identity_blob == "blob"
    assert world.progress.boot.identified.is_set()
    assert observed.application is not None
    assert observed.application.id == "greeter"
    assert observed.image is not None
    assert observed.image.digest == DIGEST
    assert observed.scm_source == ScmSourceFacts(status="missing")
    assert observed.container is not None
    assert observed.container.name == APP


async def test_what_was_observed_before_a_stage_failed_is_recorded_too(world: World, stages: FakeStages) -> None:
    proxy = container("taupageapp-proxy")

    async def work(_: ObservedSoFar, handle: StageHandle) -> Observation:
        handle.observed(RunningContainers(sidecars={proxy.name: proxy}))
        raise EngineFailed("engine-refused", "the port is in use", retryable=False)

    stages["run"].work = work
    with pytest.raises(StageFailed):
        await brought_up(stages)
    assert (world.progress.observed.container, list(world.progress.observed.sidecars)) == (None, ["taupageapp-proxy"])


def container(name: str) -> ContainerFacts:
    return ContainerFacts(
        name=name, container_id=f"{name}-1", image_digest=DIGEST, state="running", exit_code=None, started_at=""
    )


def test_an_invalid_document_is_recorded_without_an_application(world: World) -> None:
    problem = Problem(severity="error", code="source-missing", line=1, column=1, path="", message="no source", fix="")
    facts = UserDataFacts(digest=DIGEST, document=None)
    record(JudgedDocument(facts=facts, problems=(problem,), quotes={1: "source:"}), world.progress)
    observed = world.progress.observed
    assert (observed.problems, observed.quotes, observed.application) == ((problem,), {1: "source:"}, None)
    assert observed.user_data is not None


def test_the_source_of_an_image_is_recorded_before_the_sidecars_are_pulled(world: World) -> None:
    record(StatedSource(facts=ScmSourceFacts(status="found")), world.progress)
    assert world.progress.observed.scm_source == ScmSourceFacts(status="found")


def test_adopted_containers_are_recorded_with_their_image_source_and_drift(world: World) -> None:
    drift = DriftFacts(kind="exec", container=APP, image="", detail="sh", first_at="", last_at="")
    image = ImageFacts(source="s", repository="r", digest=DIGEST, index_digest=None)
    record(
        AdoptedContainers(
            application=container(APP), image=image, scm_source=ScmSourceFacts(status="missing"), drift=(drift,)
        ),
        world.progress,
    )
    observed = world.progress.observed
    assert (observed.image, observed.drift, observed.container) == (image, (drift,), container(APP))


# --- the judgement


async def test_an_invalid_document_ends_the_boot_and_its_stack_is_announced(world: World, stages: FakeStages) -> None:
    heard: list[Announcement] = []
    judging = JudgeStage(settings=stages.settings, announce=heard.append)
    stages["user-data"].work = judging.run
    with pytest.raises(StageFailed) as failed:
        await brought_up(stages)
    assert stages.ran == ["identity", "user-data"]
    assert len(heard) == 1
    assert failed.value.problems[0] in world.progress.observed.problems
    assert world.progress.observed.user_data is not None
    assert world.progress.observed.application is None


async def test_later_stages_receive_the_judged_document(stages: FakeStages) -> None:
    await brought_up(stages)
    (saw,) = stages["pull"].saw
    assert saw.of(Judged).user_data.application_id == "greeter"
