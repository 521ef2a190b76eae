"""Decides when a container that has ended is started again, and when it is in a crash loop. Pure."""

from __future__ import annotations

from dataclasses import dataclass

STABLE_SECONDS = 300.0
"""After a run of so long, failures are counted from zero again."""
CRASH_LOOP_FAILURES = 5
_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartDecision:
    """When to restart, and whether this is a crash loop. `restart_seconds` None: not at all."""

    restart_seconds: float | None
    crash_loop: bool = False


@dataclass(slots=True, kw_only=True)
class Restarts:
    """The runs and failures of one container."""

    started: float
    failures: int = 0
    total: int = 0

    def ended(self, now: float, exit_code: int | None) -> RestartDecision:
        """Return what follows an end: exit code 0 is final, as on Taupage; all others are restarted."""
        if exit_code == 0:
            return RestartDecision(restart_seconds=None)
        self.forgive_stable_run(now)
        return self.refused()

    def refused(self) -> RestartDecision:
        """Return what follows a start that the engine refused, which counts as a failure."""
        self.failures += 1
        seconds = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(self.failures - 1, 20))
        return RestartDecision(restart_seconds=seconds, crash_loop=self.failures >= CRASH_LOOP_FAILURES)

    def forgive_stable_run(self, now: float) -> None:
        """Reset the number of failures if the last run was long enough."""
        if now - self.started >= STABLE_SECONDS:
            self.failures = 0

    def restarted(self, now: float) -> None:
        self.started = now
        self.total += 1
