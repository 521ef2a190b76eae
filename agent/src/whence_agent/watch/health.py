"""The application's health after the boot: checked permanently, reported when it changes."""

from __future__ import annotations

import logging

import msgspec

from whence_agent.ports import Probe
from whence_agent.progress.progress import Progress
from whence_agent.pulse import Pulse
from whence_agent.report.reporter import Reporter
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause
from whence_common.user_data.lifecycle import HealthCheck

log = logging.getLogger(__name__)

FAILURES_MAX = 3
_REQUEST_SECONDS_MAX = 5.0


class HealthWatch:
    """Checks the application's health: unhealthy after three failures in a row, healthy after one success."""

    def __init__(
        self, *, probe: Probe, progress: Progress, reporter: Reporter, pulse: Pulse, address: str, seconds: float
    ) -> None:
        self._probe = probe
        self._progress = progress
        self._reporter = reporter
        self._pulse = pulse
        self._address = address
        self._seconds = seconds
        self._check: HealthCheck | None = None
        self._failures = 0

    def watch(self, check: HealthCheck | None) -> None:
        """Set the health check; None disables it."""
        self._check = check

    async def run(self) -> None:
        """Check from the end of the boot on, until cancelled."""
        await self._progress.boot.booted.wait()
        while True:
            await pause(self._seconds)
            await self.look()
            self._pulse.beat("health", silent_seconds_max=self._seconds + 60)

    async def look(self) -> None:
        """Check once; report a change."""
        check, container = self._check, self._progress.watched.container
        if check is None or container is None or container.state != "running":
            return
        url = f"http://{self._address}:{check.port}{check.path}"
        status = await self._probe.status(url, seconds_max=_REQUEST_SECONDS_MAX)
        self._failures = 0 if status == 200 else self._failures + 1
        if status == 200:
            health = "healthy"
        elif self._failures >= FAILURES_MAX:
            health = "unhealthy"
        else:
            return
        container = self._progress.watched.container
        if container is None or container.health == health:
            return
        is_change = bool(container.health) or health == "unhealthy"
        self._progress.watched.record_container(msgspec.structs.replace(container, health=health), main=True)
        if is_change:
            log.warning("health changed", extra=fields(health=health, status=status))
            self._reporter.report("change")
