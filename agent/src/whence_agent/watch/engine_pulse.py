"""Whether the engine answers at all, asked beside everything else: what hangs tells nothing of itself."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from whence_agent.ports import EngineFailed
from whence_agent.ports_engine import EngineLife
from whence_agent.progress.watched_state import WatchedState
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

ASK_SECONDS = 3.0
"""With the four seconds that an answer may take, an engine that hangs is on the status within ten."""


@dataclass(slots=True, kw_only=True)
class EnginePulse:
    """Puts an engine that does not answer on the status; the next whole look takes it away again."""

    life: EngineLife
    state: WatchedState

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self.ask()
            await pause(ASK_SECONDS)

    async def ask(self) -> None:
        """Ask once."""
        try:
            await self.life.ping()
        except EngineFailed as exc:
            if not self.state.engine_error:
                log.warning("the engine does not answer", extra=fields(error=exc.message))
            self.state.record_engine_error(exc.message)
