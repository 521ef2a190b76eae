"""Stages health and load-balancer: wait until the application answers 200 and the load balancer serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from whence_agent.boot.identity import Identified
from whence_agent.boot.run import Runner
from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.boot.user_data import Judged
from whence_agent.ports import ContainerState, ContainerWatch, EngineFailed, Probe
from whence_agent.ports_cloud import CloudRefused, LoadBalancers
from whence_agent.progress.stage import StageProgress
from whence_agent.settings import Settings
from whence_common.errors import RoadError, one_line
from whence_common.runtime.pause import pause
from whence_common.user_data.lifecycle import HealthCheck, LoadBalancer

REQUEST_SECONDS_MAX = 5.0
PAUSE_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.1
LOAD_BALANCER_PAUSE_SECONDS = 5.0
_ENDED = ("exited", "dead")
_HEALTHY = 200


class Unhealthy(RoadError):
    """The application did not become healthy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedContainer:
    """The container whose health is checked; `revive` starts again what stopped with the engine."""

    name: str
    address: str
    revive: Callable[[], Awaitable[None]]


async def until_healthy(
    check: HealthCheck, checked: CheckedContainer, *, probe: Probe, engine: ContainerWatch, stage: StageProgress
) -> None:
    """Request the health check until it returns 200. Raises Unhealthy if the container has ended meanwhile.

    An unreachable engine is waited for until the stage's deadline. Containers stop with their engine: those that have
    ended when it answers again are started again.
    """
    wait, failures, unreachable = FIRST_PAUSE_SECONDS, 0, 0
    url = f"http://{checked.address}:{check.port}{check.path}"
    while True:
        status = await probe.status(url, seconds_max=REQUEST_SECONDS_MAX)
        if status == _HEALTHY:
            stage.clear_wait()
            return
        failures += 1
        try:
            found = await engine.inspect(checked.name)
            if found is None or found.facts.state in _ENDED:
                if found is None or not unreachable:
                    raise _ended(found, checked.name)
                await checked.revive()
        except EngineFailed as exc:
            if not exc.retryable:
                raise
            unreachable += 1
            stage.wait_for("the Docker Engine", attempt=unreachable + 1, error=exc)
        else:
            unreachable = 0
            stage.wait_for("the application", attempt=failures + 1, error=_not_healthy(check, status, checked.name))
        await pause(wait)
        wait = min(wait * 2, PAUSE_SECONDS)


def _not_healthy(check: HealthCheck, status: int | None, name: str) -> Unhealthy:
    answer = "no answer" if status is None else f"HTTP {status}"
    message = f"{one_line(check.path, 80)} on port {check.port}: {answer} instead of 200"
    return Unhealthy("container-unhealthy", message, fix="read its log: docker logs " + name)


def _ended(found: ContainerState | None, name: str) -> Unhealthy:
    code = found.facts.exit_code if found is not None else None
    memory = ", out of memory" if found is not None and found.out_of_memory else ""
    message = f"the container ended with code {code}{memory} before it was healthy"
    return Unhealthy("container-ended", message, fix="read its log: docker logs " + name)


async def until_in_service(
    target: LoadBalancer,
    balancers: LoadBalancers,
    *,
    instance_id: str,
    stage: StageProgress,
    pause_seconds: float = LOAD_BALANCER_PAUSE_SECONDS,
) -> None:
    """Request the instance's state until the load balancer serves it. Raises CloudRefused."""
    refusals = 0
    while True:
        try:
            state = await balancers.in_service(target.kind, target.name, instance_id=instance_id)
        except CloudRefused as exc:
            if not exc.retryable:
                raise
            refusals += 1
            stage.wait_for(f"an answer about {one_line(target.name, 80)}", attempt=refusals + 1, error=exc)
        else:
            refusals = 0
            stage.clear_wait()
            stage.reason = state
            if not state:
                return
        await pause(pause_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthStage:
    settings: Settings
    probe: Probe
    engine: ContainerWatch
    runner: Runner
    name: str = "health"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        user_data = so_far.of(Judged).user_data
        return user_data.start and user_data.health_check is not None

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Wait until the application's health check returns 200. Raises Unhealthy, EngineFailed."""
        user_data = so_far.of(Judged).user_data
        assert user_data.health_check is not None, "a stage that user data does not need does not run"
        checked = CheckedContainer(
            name=self.settings.container_name,
            address=probe_address(self.settings),
            revive=partial(self.runner.revive, user_data, handle.observed),
        )
        await until_healthy(user_data.health_check, checked, probe=self.probe, engine=self.engine, stage=handle.stage)
        return Observation()


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadBalancerStage:
    """`pool` returns the machine's state in its group's warm pool; empty outside a warm pool."""

    balancers: LoadBalancers
    pool: Callable[[], str]
    name: str = "load-balancer"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        user_data = so_far.of(Judged).user_data
        return user_data.start and user_data.load_balancer is not None

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Wait until the load balancer serves this instance, unless it is in a warm pool. Raises CloudRefused."""
        target, pool = so_far.of(Judged).user_data.load_balancer, self.pool()
        assert target is not None, "a stage that user data does not need does not run"
        if pool:
            return Observation(note=f"skipped: this machine enters its warm pool ({pool})")
        instance_id = so_far.of(Identified).identity.instance_id
        await until_in_service(target, self.balancers, instance_id=instance_id, stage=handle.stage)
        return Observation()


def probe_address(settings: Settings) -> str:
    """Return the address of this machine on which its published ports answer."""
    published = settings.publish_address
    return "127.0.0.1" if published == "0.0.0.0" else published  # noqa: S104 - compared, not bound
