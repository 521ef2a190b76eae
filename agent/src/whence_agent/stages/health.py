"""Stages health and load-balancer: the application answers 200, and the load balancer has seen it."""

from __future__ import annotations

from whence_agent.ports import ContainerWatch, Probe
from whence_agent.ports_cloud import CloudRefused, LoadBalancers
from whence_agent.progress import StageProgress
from whence_common.errors import RoadError
from whence_common.pause import pause
from whence_common.user_data.lifecycle import HealthCheck, LoadBalancer

REQUEST_SECONDS_MAX = 5.0
PAUSE_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.1
LOAD_BALANCER_PAUSE_SECONDS = 5.0


class Unhealthy(RoadError):
    """The application did not become healthy."""


async def until_healthy(check: HealthCheck, *, probe: Probe, engine: ContainerWatch, name: str, address: str) -> None:
    """Ask until 200; only 200 passes. Raises Unhealthy when the container has ended meanwhile."""
    wait = FIRST_PAUSE_SECONDS
    while True:
        status = await probe.status(f"http://{address}:{check.port}{check.path}", seconds_max=REQUEST_SECONDS_MAX)
        if status == 200:
            return
        found = await engine.inspect(name)
        if found is None or found.facts.state in ("exited", "dead"):
            code = found.facts.exit_code if found is not None else None
            memory = ", out of memory" if found is not None and found.out_of_memory else ""
            raise Unhealthy("container-ended", f"the container ended with code {code}{memory} before it was healthy",
                            fix="look at its log: docker logs " + name)  # fmt: skip
        await pause(wait)
        wait = min(wait * 2, PAUSE_SECONDS)


async def until_in_service(
    target: LoadBalancer, balancers: LoadBalancers, *, instance_id: str, stage: StageProgress
) -> None:
    """Ask until the load balancer serves this instance; the stage's deadline ends it. Raises CloudRefused."""
    while True:
        try:
            stage.reason = await balancers.in_service(target.kind, target.name, instance_id=instance_id)
        except CloudRefused as exc:
            if not exc.retryable:
                raise
            stage.reason = exc.diagnostics()
        if not stage.reason:
            return
        await pause(LOAD_BALANCER_PAUSE_SECONDS)
