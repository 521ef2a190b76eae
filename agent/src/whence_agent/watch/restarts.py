"""When a container that has ended is started again: back-off, and the verdict of a crash loop. Pure."""

from __future__ import annotations

from dataclasses import dataclass

STABLE_SECONDS = 300.0
"""A run as long as this was a good one; what comes after it counts anew."""
CRASH_LOOP_FAILURES = 5
_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartDecision:
    """`restart_seconds` None: it is left as it is."""

    restart_seconds: float | None
    crash_loop: bool = False


@dataclass(slots=True, kw_only=True)
class Restarts:
    """One container's runs, as far as they decide about the next."""

    started: float
    failures: int = 0
    total: int = 0

    def ended(self, now: float, exit_code: int | None) -> RestartDecision:
        """Judge an end. Exit code 0 is an end, as stock had it; everything else is tried again."""
        if exit_code == 0:
            return RestartDecision(restart_seconds=None)
        self.excused(now)
        return self.refused()

    def refused(self) -> RestartDecision:
        """Judge a start that the engine refused: it did not run, so it failed."""
        self.failures += 1
        seconds = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(self.failures - 1, 20))
        return RestartDecision(restart_seconds=seconds, crash_loop=self.failures >= CRASH_LOOP_FAILURES)

    def excused(self, now: float) -> None:
        """Note an end that is no failure of its own; a run that was long enough makes those before it forgotten."""
        if now - self.started >= STABLE_SECONDS:
            self.failures = 0

    def restarted(self, now: float) -> None:
        self.started = now
        self.total += 1
