"""The watchdog: every loop reports each round, and the watchdog is fed only while all of them do so in time."""

from __future__ import annotations

import logging
from collections.abc import Callable

from whence_agent.ports import Notifier
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)


class Pulse:
    """Monitors loops from their first beat on; a loop that has not started does not count as hanging."""

    def __init__(self, *, monotonic: Callable[[], float], notifier: Notifier, watchdog_seconds: float | None) -> None:
        self._monotonic = monotonic
        self._notifier = notifier
        self._watchdog_seconds = watchdog_seconds
        self._beats: dict[str, tuple[float, float]] = {}

    def beat(self, name: str, *, silent_seconds_max: float) -> None:
        """Record that a loop has completed a round, and how long the next one may take."""
        self._beats[name] = (self._monotonic(), silent_seconds_max)

    def silent(self) -> list[str]:
        """Return the names of the loops whose last round is overdue."""
        now = self._monotonic()
        return [name for name, (last, most) in self._beats.items() if now - last > most]

    def feed(self) -> bool:
        """Feed the watchdog unless a loop hangs; return whether it was fed.

        Without it, the service manager restarts the agent, not the application.
        """
        silent = self.silent()
        if silent:
            log.error("a loop hangs; the watchdog is not fed", extra=fields(loops=silent))
            return False
        self._notifier.notify(alive=True)
        return True

    async def run(self) -> None:
        """Feed the watchdog at a third of its interval until cancelled."""
        while True:
            await pause((self._watchdog_seconds or 60.0) / 3)
            if self._watchdog_seconds is not None:
                self.feed()
