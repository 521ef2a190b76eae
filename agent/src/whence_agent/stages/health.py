"""Stage health: the application answers 200 on its health path before the deadline."""

from __future__ import annotations

from whence_agent.ports import Engine, Probe
from whence_common.errors import RoadError
from whence_common.pause import pause
from whence_common.user_data.judge import HealthCheck

REQUEST_SECONDS_MAX = 5.0
PAUSE_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.1


class Unhealthy(RoadError):
    """The application did not become healthy."""


async def until_healthy(check: HealthCheck, *, probe: Probe, engine: Engine, name: str, address: str) -> None:
    """Ask until 200; only 200 passes. Raises Unhealthy when the container has ended meanwhile."""
    wait = FIRST_PAUSE_SECONDS
    while True:
        status = await probe.status(f"http://{address}:{check.port}{check.path}", seconds_max=REQUEST_SECONDS_MAX)
        if status == 200:
            return
        container = await engine.inspect(name)
        if container is None or container.state in ("exited", "dead"):
            code = container.exit_code if container is not None else None
            raise Unhealthy("container-ended", f"the container ended with code {code} before it was healthy",
                            fix="look at its log: docker logs " + name)  # fmt: skip
        await pause(wait)
        wait = min(wait * 2, PAUSE_SECONDS)
