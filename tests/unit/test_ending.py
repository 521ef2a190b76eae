"""Draining, and the signals to stacks, groups, load balancers and the aggregator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.agent_world import FakeNotices, World
from fakes.clocks import a_day
from whence_agent.machine.protocol import PowerOffRequest
from whence_agent.patience import Patience
from whence_agent.ports import Notices
from whence_agent.ports_aggregator import AggregatorUnavailable, Challenge, Enrolled, StatementReceipt
from whence_agent.ports_cloud import CloudRefused, NobodyWaits
from whence_agent.progress.stage import StageProgress
from whence_agent.report.announcement import HOOK_UP_SECONDS, Announcer
from whence_agent.report.delivery import Delivery
from whence_agent.report.heartbeat_counter import HeartbeatCounter
from whence_agent.status.document import state_of
from whence_agent.watch.draining import Ending
from whence_agent.watch.health import FAILURES_MAX, HealthWatch
from whence_agent.watch.metrics import HostMetrics, read_host
from whence_agent.watch.notices import NoticeWatch
from whence_common.backoff import Backoff
from whence_common.digest import sha256_digest
from whence_common.sts_proof import StsProof
from whence_common.user_data.judge import Announcement
from whence_common.user_data.lifecycle import (
    HealthCheck,
    LifecycleHooks,
    LoadBalancer,
    OnFailure,
    Shutdown,
    StackResource,
)

APP = "taupageapp"
TOLD = Announcement(
    stack_resource=StackResource(stack="pay-1", resource="App"),
    lifecycle_hooks=LifecycleHooks(group="pay", launching="up", terminating="down"),
)
NO_PAUSE = Backoff(first_seconds=0.0, longest_seconds=0.0, random=lambda: 0.0)


@dataclass
class FakeAggregator:
    """An aggregator that accepts statements unless it is down."""

    down: bool = False
    taken: list[bytes] = field(default_factory=list)

    async def challenge(self) -> Challenge:
        if self.down:
            raise AggregatorUnavailable("aggregator-unreachable", "down")
        return Challenge(nonce="n", audience="https://whence.example.org")

    async def enrol(self, *, identity: str, public_key: str, nonce: str, proof: str, sts: StsProof | None) -> Enrolled:
        return Enrolled(number=1, heartbeat_key=b"k" * 32)

    async def submit(self, envelope: bytes) -> StatementReceipt:
        self.taken.append(envelope)
        return StatementReceipt(digest=sha256_digest(envelope), ledger_index=len(self.taken))

    async def heartbeat(self, body: bytes, mac: str) -> None: ...


class NoProof:
    """A metadata service without identity credentials."""

    async def prove(self, *, region: str, challenge: str, audience: str, key_id: str) -> StsProof | None:
        return None


class Machine:
    """A machine with everything that receives a signal when it ends."""

    def __init__(self, world: World, *, shutdown: Shutdown = "never", on_failure: OnFailure = "hold") -> None:
        self.world = world
        self.up_seconds = a_day()
        self.boots: list[str] = []
        self.aggregator = FakeAggregator()
        self.announcer = Announcer(
            signals=world.account, progress=world.progress, patience=Patience(backoff=NO_PAUSE), seconds_max=0.5,
            up_seconds=lambda: self.up_seconds, on_failure=on_failure, announcement=TOLD,
        )  # fmt: skip
        delivery = Delivery(
            aggregator=self.aggregator, prover=NoProof(), receipts=world.receipts(), key=world.key,
            counter=HeartbeatCounter(world.key), owner=world.owner, outbox=world.outbox, reporter=world.reporter,
            progress=world.progress, pulse=world.pulse, heartbeat_seconds=60, pause_seconds_max=1, random=lambda: 0.5,
        )  # fmt: skip
        self.ending = Ending(
            engine=world.engine, machine=world.machine, load_balancers=world.account, announcer=self.announcer,
            reporter=world.reporter, delivery=delivery, progress=world.progress, shutdown=shutdown,
            load_balancer=LoadBalancer(kind="classic", name="web"), containers={APP: 45},
        )  # fmt: skip
        world.engine.add(APP)
        world.progress.watched.container = world.engine.containers[APP].facts
        world.progress.boot.state = "up"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_drain_deregisters_stops_states_delivers_and_completes_the_hook(world: World) -> None:
    machine = Machine(world)
    await machine.ending.drain("spot notice: terminate")
    await machine.ending.drain("again")
    assert world.engine.calls == [f"stop {APP} 45"]
    assert world.account.told == ["deregister classic web", "hook pay down CONTINUE"]
    assert len(machine.aggregator.taken) == 1
    assert state_of(world.progress) == (
        "degraded",
        ["drained: spot notice: terminate", *state_of(world.progress)[1][1:]],
    )


async def test_a_drain_continues_after_each_failure(world: World) -> None:
    machine = Machine(world)
    world.account.fail_with = [CloudRefused("cloud-refused", "no", retryable=False)]
    world.engine.down = True
    machine.aggregator.down = True
    await machine.ending.drain("the machine shuts down")
    assert world.account.told == ["hook pay down CONTINUE"]
    assert world.causes() == ["stop"]


@pytest.mark.parametrize(
    "shutdown, exit_code, off",
    [("never", 0, False), ("on-exit", 1, True), ("on-success", 0, True), ("on-success", 1, False)],
)
async def test_the_machine_is_powered_off_as_user_data_requires(
    world: World, shutdown: Shutdown, exit_code: int, off: bool
) -> None:
    machine = Machine(world, shutdown=shutdown)
    await machine.ending.application_ended(exit_code)
    assert [type(request) for request in world.machine.asked] == ([PowerOffRequest] if off else [])
    assert len(machine.aggregator.taken) == int(off)


async def test_a_failed_power_off_is_on_the_status(world: World) -> None:
    machine = Machine(world, shutdown="on-exit")
    world.machine.fails = True
    await machine.ending.application_ended(0)
    assert "could not be powered off" in world.progress.delivered.unsent_signals


@pytest.mark.parametrize("success, word, result", [(True, "SUCCESS", "CONTINUE"), (False, "FAILURE", "ABANDON")])
async def test_stack_and_group_receive_the_result_of_the_boot(
    world: World, success: bool, word: str, result: str
) -> None:
    await Machine(world).announcer.booted(success=success, stage=world.progress.boot.stages["notify"])
    assert world.account.told == [f"stack pay-1 App i-0123456789abcdef0 {word}", f"hook pay up {result}"]
    assert world.progress.delivered.unsent_signals == ""


def notify(world: World) -> StageProgress:
    return world.progress.boot.stages["notify"]


async def test_throttling_is_retried_and_a_refusal_is_shown_with_its_fix(world: World) -> None:
    machine = Machine(world)
    world.account.fail_with = [CloudRefused("x", "throttled")] * 30
    await machine.announcer.booted(success=True, stage=notify(world))
    assert (len(world.account.told), world.progress.delivered.unsent_signals) == (2, "")
    world.account.fail_with = [CloudRefused("x", "denied", retryable=False, fix="allow cloudformation:SignalResource")]
    await machine.announcer.booted(success=True, stage=notify(world))
    assert "allow cloudformation:SignalResource" in world.progress.delivered.unsent_signals
    assert len(world.account.told) == 3, "the group hears of it although the stack cannot"


async def test_a_service_that_throttles_until_the_deadline_is_named_with_its_message(world: World) -> None:
    machine = Machine(world)
    machine.announcer.patience = Patience(backoff=Backoff(first_seconds=0.1, longest_seconds=0.1, random=lambda: 0.5))
    world.account.fail_with = [CloudRefused("x", "throttled")] * 1_000
    await machine.announcer.booted(success=True, stage=notify(world))
    assert world.progress.delivered.unsent_signals == (
        "CloudFormation pay-1/App could not be signalled within 0.5 seconds: throttled; "
        "Auto Scaling hook up could not be signalled within 0.5 seconds: throttled"
    )


async def test_a_stack_or_hook_that_does_not_wait_is_noted_and_not_a_fault(world: World) -> None:
    machine = Machine(world)
    said = "ValidationError: Stack pay-1 is in CREATE_COMPLETE state and cannot be signaled"
    world.account.fail_with = [NobodyWaits(said), NobodyWaits("ValidationError: No active Lifecycle Action found")]
    told = await machine.announcer.booted(success=True, stage=notify(world))
    assert world.progress.delivered.unsent_signals == ""
    assert told.note == (
        f"CloudFormation pay-1/App does not wait for this instance ({said}); "
        "Auto Scaling hook up does not wait for this instance (ValidationError: No active Lifecycle Action found)"
    )
    world.account.fail_with = [NobodyWaits("gone")] * 3
    await machine.ending.drain("spot notice: terminate")
    assert world.progress.delivered.unsent_signals == ""
    machine.announcer.on_failure = "unhealthy"
    await machine.announcer.failed("crash loop")
    assert world.progress.delivered.unsent_signals == ""


async def test_a_hook_that_does_not_wait_yet_is_retried_on_a_machine_that_has_just_started(world: World) -> None:
    machine = Machine(world)
    machine.announcer.announcement = Announcement(lifecycle_hooks=TOLD.lifecycle_hooks)
    machine.up_seconds = HOOK_UP_SECONDS - 30
    world.account.fail_with = [NobodyWaits("ValidationError: No active Lifecycle Action found")] * 3
    await machine.announcer.booted(success=True, stage=notify(world))
    assert world.account.told == ["hook pay up CONTINUE"]


@pytest.mark.parametrize(
    "policy, told",
    [
        ("hold", []),
        ("retry", []),
        ("terminate", ["terminate i-0123456789abcdef0"]),
        ("unhealthy", ["unhealthy i-0123456789abcdef0"]),
    ],
)
async def test_the_policy_is_applied_to_a_failure_once(world: World, policy: OnFailure, told: list[str]) -> None:
    machine = Machine(world, on_failure=policy)
    await machine.announcer.failed("boot failed at image")
    await machine.announcer.failed("crash loop")
    assert world.account.told == told


async def test_the_policy_of_user_data_takes_precedence_over_the_platforms(world: World) -> None:
    machine = Machine(world, on_failure="terminate")
    machine.announcer.announcement = Announcement(on_failure="hold")
    await machine.announcer.failed("x")
    assert world.account.told == []


def watch(machine: Machine, metadata: FakeNotices, *, rebalance_drains: bool = False) -> NoticeWatch:
    world = machine.world
    return NoticeWatch(
        metadata=metadata, ending=machine.ending, progress=world.progress, reporter=world.reporter,  # type: ignore[arg-type]  # as far as notices go
        pulse=world.pulse, seconds=5.0, drain_on_rebalance=rebalance_drains,
        boot_again=lambda: machine.boots.append("again"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "notices, drained",
    [
        (Notices(), ""),
        (Notices(spot_action="terminate"), "spot notice: terminate"),
        (Notices(lifecycle_state="InService"), ""),
        (Notices(lifecycle_state="Terminated"), "Auto Scaling terminates this instance"),
        (Notices(lifecycle_state="Terminating:Wait"), "Auto Scaling terminates this instance"),
        (Notices(lifecycle_state="Warmed:Terminated"), "Auto Scaling terminates this instance"),
        (Notices(lifecycle_state="Warmed:Terminating:Proceed"), "Auto Scaling terminates this instance"),
        (Notices(lifecycle_state="Warmed:Stopped"), "Auto Scaling keeps this instance stopped in its warm pool"),
        (Notices(lifecycle_state="Warmed:Running"), ""),
        (Notices(lifecycle_state="Warmed:Hibernated"), ""),
        (Notices(lifecycle_state="Warmed:Pending"), ""),
        (Notices(lifecycle_state="Warmed:Pending:Wait"), ""),
        (Notices(lifecycle_state="Warmed:Pending:Proceed"), ""),
        (Notices(lifecycle_state="Standby"), ""),
        (Notices(lifecycle_state="Detached"), ""),
        (Notices(lifecycle_state="Warmed:"), ""),
        (Notices(rebalance=True), ""),
    ],
)
async def test_an_announced_end_drains(world: World, notices: Notices, drained: str) -> None:
    await watch(Machine(world), FakeNotices(notices)).look()
    assert world.progress.watched.ending == drained


@pytest.mark.parametrize("state", ["Warmed:Running", "Warmed:Hibernated"])
async def test_an_instance_that_leaves_its_warm_pool_running_completes_the_hook_again(world: World, state: str) -> None:
    machine, metadata = Machine(world), FakeNotices(Notices(lifecycle_state=state))
    watcher = watch(machine, metadata)
    await watcher.look()
    assert (world.progress.watched.pool, world.account.told) == (state, [])
    metadata.found = Notices(lifecycle_state="InService")
    world.account.fail_with = [NobodyWaits("ValidationError: No active Lifecycle Action found"), CloudRefused("x", "y")]
    await watcher.look()
    await watcher.look()
    assert (world.progress.watched.pool, world.account.told, machine.boots) == ("", ["hook pay up CONTINUE"], [])


async def test_an_instance_that_leaves_its_warm_pool_with_a_stopped_application_is_abandoned(world: World) -> None:
    machine, metadata = Machine(world), FakeNotices(Notices(lifecycle_state="Warmed:Running"))
    watcher = watch(machine, metadata)
    await watcher.look()
    world.engine.end(APP, 1)
    world.progress.watched.container = world.engine.containers[APP].facts
    metadata.found = Notices(lifecycle_state="InService")
    await watcher.look()
    assert world.account.told == ["hook pay up ABANDON"]


async def test_an_instance_drained_for_the_warm_pool_boots_again_if_it_leaves_before_it_stops(
    world: World,
) -> None:
    machine, metadata = Machine(world), FakeNotices(Notices(lifecycle_state="Warmed:Stopped"))
    watcher = watch(machine, metadata)
    await watcher.look()
    await watcher.look()
    assert world.engine.calls == [f"stop {APP} 45"]
    assert world.causes() == []  # delivered
    assert "stopped in its warm pool" in state_of(world.progress)[1][0]
    metadata.found = Notices(lifecycle_state="InService")
    for _ in range(2):  # the settings may be wrong just then
        await watcher.look()
    assert (machine.boots, world.account.told) == (
        ["again", "again"],
        ["deregister classic web", "hook pay down CONTINUE"],
    )


async def test_a_rebalance_recommendation_is_reported_once_and_drains_if_the_platform_requires_it(world: World) -> None:
    machine = Machine(world)
    watcher = watch(machine, FakeNotices(Notices(rebalance=True)))
    await watcher.look()
    await watcher.look()
    assert world.causes() == ["change"]
    assert any("rebalance" in reason for reason in state_of(world.progress)[1])
    await watch(machine, FakeNotices(Notices(rebalance=True)), rebalance_drains=True).look()
    assert world.progress.watched.ending == "rebalance recommendation"


class FakeProbe:
    def __init__(self) -> None:
        self.answer: int | None = 200

    async def status(self, url: str, *, seconds_max: float) -> int | None:
        return self.answer


async def test_three_failed_checks_are_unhealthy_and_one_success_is_healthy(world: World) -> None:
    Machine(world)
    probe = FakeProbe()
    health = HealthWatch(
        probe=probe, progress=world.progress, reporter=world.reporter, pulse=world.pulse, address="127.0.0.1", seconds=1
    )
    health.watch(HealthCheck(path="/health", port=80, timeout_seconds=5))
    await health.look()
    assert world.causes() == []
    probe.answer = 503
    for _ in range(FAILURES_MAX - 1):
        await health.look()
    assert world.causes() == []
    await health.look()
    await health.look()
    (unhealthy,) = world.statements()
    assert unhealthy.containers[0].health == "unhealthy"
    assert any("unhealthy" in reason for reason in state_of(world.progress)[1])
    probe.answer = 200
    await health.look()
    assert world.statements()[0].containers[0].health == "healthy"


@dataclass
class FakeSink:
    put_: list[tuple[str, Mapping[str, float], Mapping[str, str]]] = field(default_factory=list)
    refuses: bool = False

    async def put(self, namespace: str, values: Mapping[str, float], *, dimensions: Mapping[str, str]) -> None:
        if self.refuses:
            raise CloudRefused("cloud-refused", "cloudwatch:PutMetricData: AccessDenied")
        self.put_.append((namespace, values, dimensions))


async def test_metrics_are_percentages_of_this_machine(world: World) -> None:
    sink = FakeSink()
    metrics = HostMetrics(sink=sink, progress=world.progress, seconds=1, read=read_host)
    await metrics.put()
    sink.refuses = True
    await metrics.put()
    ((namespace, values, dimensions),) = sink.put_
    assert (namespace, dimensions) == ("System/Linux", {"InstanceId": "i-0123456789abcdef0"})
    assert all(0 < value <= 100 for value in values.values())
