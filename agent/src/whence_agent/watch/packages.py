"""Watches which packages differ from those of the machine's image, and states each change."""

from __future__ import annotations

import logging

from whence_agent.ports import InstalledSoftware
from whence_agent.progress.progress import Progress
from whence_agent.report.reporter import Reporter
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)


class PackageWatch:
    """Reads every few minutes. The first reading is at the start, so that the statement of the boot has it already."""

    def __init__(self, *, packages: InstalledSoftware, progress: Progress, reporter: Reporter, seconds: float) -> None:
        self._packages = packages
        self._progress = progress
        self._reporter = reporter
        self._seconds = seconds

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self.look()
            await pause(self._seconds)

    async def look(self) -> None:
        """Read once; a change after the boot is stated at once."""
        found = await self._packages.read()
        if found == self._progress.watched.ami:
            return
        self._progress.watched.record_ami(found)
        if found is not None:
            log.info("packages read", extra=fields(statement=found.statement_digest, differing=found.differing))
        self._reporter.report_change()
