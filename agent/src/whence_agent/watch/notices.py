"""Announcements by AWS for this machine: spot interruptions, rebalance recommendations, Auto Scaling's target state."""

from __future__ import annotations

import logging
from collections.abc import Callable

from whence_agent.ports import Metadata, MetadataUnavailable
from whence_agent.progress.progress import Progress
from whence_agent.pulse import Pulse
from whence_agent.report.reporter import Reporter
from whence_agent.watch.draining import Ending
from whence_agent.watch.lifecycle_states import plan_of
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)


class NoticeWatch:
    """Requests notices from the metadata service every few seconds, from the end of the boot on."""

    def __init__(
        self,
        *,
        metadata: Metadata,
        ending: Ending,
        progress: Progress,
        reporter: Reporter,
        pulse: Pulse,
        seconds: float,
        drain_on_rebalance: bool,
        boot_again: Callable[[], None],
    ) -> None:
        self._metadata = metadata
        self._ending = ending
        self._progress = progress
        self._reporter = reporter
        self._pulse = pulse
        self._seconds = seconds
        self._drain_on_rebalance = drain_on_rebalance
        self._boot_again = boot_again
        """Makes this machine boot again, with its containers stopped."""
        self._stopped_for_pool = False

    async def run(self) -> None:
        """Request notices until cancelled."""
        await self._progress.boot.booted.wait()
        while True:
            await pause(self._seconds)
            await self.look()
            self._pulse.beat("notices", silent_seconds_max=self._seconds + 900)

    async def look(self) -> None:
        """Request the notices once; drain if an end is announced. Without an answer, do nothing."""
        try:
            notices = await self._metadata.notices()
        except MetadataUnavailable:
            return
        if notices.spot_action:
            await self._ending.drain(f"spot notice: {notices.spot_action}")
        elif await self._apply_plan(notices.lifecycle_state):
            return
        elif notices.rebalance:
            if self._drain_on_rebalance:
                await self._ending.drain("rebalance recommendation")
            elif not self._progress.watched.notices:
                self._progress.watched.record_notice("rebalance recommendation by AWS: a spot interruption is likely")
                log.warning("rebalance recommendation", extra=fields(drains=False))
                self._reporter.report("change")

    async def _apply_plan(self, state: str) -> bool:
        """Act on Auto Scaling's target state; return whether the instance ends or stops."""
        plan = plan_of(state)
        if plan == "ends":
            await self._ending.drain("Auto Scaling terminates this instance")
        elif plan == "stops":
            self._progress.watched.record_pool(state)
            self._stopped_for_pool = self._stopped_for_pool or not self._progress.watched.ending
            await self._ending.drain("Auto Scaling keeps this instance stopped in its warm pool")
        elif plan == "waits":
            self._progress.watched.record_pool(state)
        elif plan == "runs" and self._progress.watched.pool:
            await self._left_pool()
        return plan in ("ends", "stops")

    async def _left_pool(self) -> None:
        """Return to service: boot again if the containers were stopped for the pool, else complete the hook again."""
        log.info("left the warm pool", extra=fields(state=self._progress.watched.pool))
        if self._stopped_for_pool:
            self._boot_again()  # at each look until it succeeds: the settings, read again, may be invalid
            return
        self._progress.watched.record_pool("")
        if not self._progress.watched.ending:
            container = self._progress.watched.container
            up = container is not None and container.state == "running" and container.health != "unhealthy"
            await self._ending.announcer.left_pool(success=up or self._progress.boot.maintenance)
