"""Checks in the background whether the engine answers, because an engine that hangs sends no event."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from whence_agent.ports import EngineFailed
from whence_agent.ports_engine import EngineLife
from whence_agent.progress.watched_state import WatchedState
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

PING_SECONDS = 3.0
"""With the timeout of four seconds for an answer, the status shows an engine that hangs within ten seconds."""


@dataclass(slots=True, kw_only=True)
class EnginePulse:
    """Shows on the status that the engine does not answer; the next complete inspection clears it."""

    life: EngineLife
    state: WatchedState

    async def run(self) -> None:
        """Ping until cancelled."""
        while True:
            await self.ping()
            await pause(PING_SECONDS)

    async def ping(self) -> None:
        """Ping the engine once, and record an error."""
        try:
            await self.life.ping()
        except EngineFailed as exc:
            if not self.state.engine_error:
                log.warning("the engine does not answer", extra=fields(error=exc.message))
            self.state.record_engine_error(exc.message)
