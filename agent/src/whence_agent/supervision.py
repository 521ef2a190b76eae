"""Supervision: looks at the container after the boot and says so when it is no longer what it was."""

from __future__ import annotations

import logging

import msgspec

from whence_agent.ports import Engine, EngineFailed
from whence_agent.progress import Progress
from whence_agent.reporter import Reporter
from whence_common.logs import fields
from whence_common.pause import pause
from whence_common.statement import ContainerFacts

log = logging.getLogger(__name__)


class Supervision:
    """Reports every change of the container's state, id or start. Restarting it is the engine's (on-failure:10)."""

    def __init__(
        self, *, engine: Engine, progress: Progress, reporter: Reporter, name: str, watch_seconds: float
    ) -> None:
        self._engine = engine
        self._progress = progress
        self._reporter = reporter
        self._name = name
        self._watch_seconds = watch_seconds

    async def run(self) -> None:
        """Watch for ever, from the end of the boot on."""
        await self._progress.booted.wait()
        while True:
            await pause(self._watch_seconds)
            await self.look()

    async def look(self) -> None:
        """Look once; an engine that does not answer is a problem on the status endpoint, not a change."""
        try:
            found = await self._engine.inspect(self._name)
        except EngineFailed as exc:
            if exc.message != self._progress.engine_error:
                log.warning("the engine does not answer", extra=fields(error=exc.message))
            self._progress.engine_error = exc.message
            return
        self._progress.engine_error = ""
        before = self._progress.observed.container
        after = self._as_seen(found, before)
        if after == before:
            return
        self._progress.observed.container = after
        log.warning("the container changed", extra=fields(state=after.state if after else "gone"))
        self._reporter.report("change")

    @staticmethod
    def _as_seen(found: ContainerFacts | None, before: ContainerFacts | None) -> ContainerFacts | None:
        if found is None:
            return None if before is None else msgspec.structs.replace(before, state="gone")
        return found
