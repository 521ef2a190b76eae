"""What the cloud is about to do to this machine: spot interruptions, rebalancing, Auto Scaling's own decisions."""

from __future__ import annotations

import logging

from whence_agent.ending import Ending
from whence_agent.ports import Metadata, MetadataUnavailable
from whence_agent.progress import Progress
from whence_agent.pulse import Pulse
from whence_agent.reporter import Reporter
from whence_common.logs import fields
from whence_common.pause import pause

log = logging.getLogger(__name__)


class NoticeWatch:
    """Asks the metadata service every few seconds from the end of the boot on."""

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
    ) -> None:
        self._metadata = metadata
        self._ending = ending
        self._progress = progress
        self._reporter = reporter
        self._pulse = pulse
        self._seconds = seconds
        self._drain_on_rebalance = drain_on_rebalance

    async def run(self) -> None:
        """Ask until cancelled."""
        await self._progress.booted.wait()
        while True:
            await pause(self._seconds)
            await self.look()
            self._pulse.beat("notices", silent_seconds_max=self._seconds + 900)

    async def look(self) -> None:
        """Ask once; drain when the end is announced. A metadata service that is silent announces nothing."""
        try:
            notices = await self._metadata.notices()
        except MetadataUnavailable:
            return
        if notices.spot_action:
            await self._ending.drain(f"spot notice: {notices.spot_action}")
        elif notices.lifecycle_state == "Terminated":
            await self._ending.drain("Auto Scaling terminates this instance")
        elif notices.rebalance:
            if self._drain_on_rebalance:
                await self._ending.drain("rebalance recommendation")
            elif not self._progress.notices:
                self._progress.notices = "AWS recommends to rebalance: a spot interruption is likely"
                log.warning("rebalance recommendation", extra=fields(drains=False))
                self._reporter.report("change")
