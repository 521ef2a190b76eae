"""Whether the work goes on: every loop says so when it has come round, and the watchdog is fed only while all do."""

from __future__ import annotations

import logging
from collections.abc import Callable

from whence_agent.ports import Notifier
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)


class Pulse:
    """Loops count from their first beat on; a loop that has not started is nobody's hang."""

    def __init__(self, *, monotonic: Callable[[], float], notifier: Notifier, watchdog_seconds: float | None) -> None:
        self._monotonic = monotonic
        self._notifier = notifier
        self._watchdog_seconds = watchdog_seconds
        self._beats: dict[str, tuple[float, float]] = {}

    def beat(self, name: str, *, silent_seconds_max: float) -> None:
        """Say that a loop has come round, and how long it may take to do so again."""
        self._beats[name] = (self._monotonic(), silent_seconds_max)

    def silent(self) -> list[str]:
        """Name the loops that have not come round in time."""
        now = self._monotonic()
        return [name for name, (last, most) in self._beats.items() if now - last > most]

    def feed(self) -> bool:
        """Feed the watchdog unless a loop hangs; then the service manager restarts the agent, not the application."""
        silent = self.silent()
        if silent:
            log.error("a loop hangs; the watchdog is not fed", extra=fields(loops=silent))
            return False
        self._notifier.notify(alive=True)
        return True

    async def run(self) -> None:
        """Feed at a third of the watchdog's time until cancelled."""
        while True:
            await pause((self._watchdog_seconds or 60.0) / 3)
            if self._watchdog_seconds is not None:
                self.feed()
