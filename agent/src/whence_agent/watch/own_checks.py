"""Distinguishes the engine's own health checks from other execs in a container. Pure.

The engine runs the image's health check as an exec, which differs from other execs only by its command, and then adds
an entry with its time to the health log. So an exec with that command is a check of the engine if there is an entry
for it, one for each exec; without an entry it is drift.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from whence_agent.ports import EngineEvent
from whence_agent.ports_engine import HealthChecks

LOG_ENTRIES_MAX = 5
"""Docker and Podman store so many checks; an exec that is older than all of them cannot be assigned any more."""
CLOCK_SECONDS_MAX = 1.0
"""Tolerance between the time of an exec's event and the span of its entry."""
LATE_SECONDS_MAX = 10.0
"""How long after its timeout a check has its entry at the latest."""
PENDING_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exec:
    event: EngineEvent
    noted: float
    """When the agent received the event, on its own monotonic clock."""


@dataclass(slots=True, kw_only=True)
class OwnChecks:
    """The execs of one container that may be health checks of the engine."""

    known: bool = False
    """Whether the container was inspected, so that `command` is valid."""
    command: str = ""
    pending: list[_Exec] = field(default_factory=list)
    entered: set[tuple[float, float]] = field(default_factory=set)
    """The log entries to which an exec was assigned."""

    def may_be_own(self, event: EngineEvent, now: float) -> bool:
        """Record an exec that may be a check; return False if it cannot be one."""
        if (self.known and event.command != self.command) or len(self.pending) >= PENDING_MAX:
            return False
        self.pending.append(_Exec(event=event, noted=now))
        return True

    def interrupted(self) -> None:
        """Drop the newest exec, because a check gets no entry when its container or the engine ends or pauses."""
        if self.pending:
            del self.pending[-1]

    def settle(self, checks: HealthChecks | None, now: float) -> list[EngineEvent]:
        """Compare with the engine's health log; return the execs that are not checks."""
        self.known, self.command = True, checks.command if checks is not None else ""
        if checks is None:
            left, self.pending = self.pending, []
            return [one.event for one in left]
        self.entered &= set(checks.log)
        for entry in checks.log:
            if entry not in self.entered:
                self._enter(entry)
        others = [one for one in self.pending if self._is_others(one, checks, now)]
        self.pending = [one for one in self.pending if one not in others and not _too_old(one, checks)]
        return [one.event for one in others]

    def _enter(self, entry: tuple[float, float]) -> None:
        began, ended = entry[0] - CLOCK_SECONDS_MAX, entry[1] + CLOCK_SECONDS_MAX
        for one in self.pending:
            if one.event.command == self.command and began <= one.event.at <= ended:
                self.pending.remove(one)
                self.entered.add(entry)
                return

    def _is_others(self, one: _Exec, checks: HealthChecks, now: float) -> bool:
        """Return whether a check would have an entry by now, because checks run one after the other."""
        if one.event.command != self.command:
            return True
        if _too_old(one, checks):
            return False
        later = any(began > one.event.at + CLOCK_SECONDS_MAX for began, _ in checks.log)
        return later or now - one.noted > checks.seconds_max + LATE_SECONDS_MAX


def _too_old(one: _Exec, checks: HealthChecks) -> bool:
    full = len(checks.log) >= LOG_ENTRIES_MAX
    return full and one.event.at < checks.log[0][0] - CLOCK_SECONDS_MAX
