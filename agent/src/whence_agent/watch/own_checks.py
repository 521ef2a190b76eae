"""Which commands in a container are the engine's own health checks, and which are somebody's. Pure.

The engine executes the image's check as anybody's exec, with nothing that tells them apart but the command; then it
enters the check in a log, with its time. So an exec with that very command is the engine's own while there is an entry
for it, one entry for one exec. What nobody entered is somebody's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from whence_agent.ports import EngineEvent
from whence_agent.ports_engine import HealthChecks

LOG_ENTRIES_MAX = 5
"""As many checks Docker and Podman keep; an older exec than all of these cannot be told any more."""
CLOCK_SECONDS_MAX = 1.0
"""How far an exec's event may be outside the span of its entry."""
LATE_SECONDS_MAX = 10.0
"""How long after its time limit a check is entered at the latest."""
PENDING_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exec:
    event: EngineEvent
    noted: float
    """When the agent heard of it, on its own clock."""


@dataclass(slots=True, kw_only=True)
class OwnChecks:
    """One container's execs that may be the engine's checks."""

    known: bool = False
    """Whether the container was looked at, so that `command` says what its check is."""
    command: str = ""
    pending: list[_Exec] = field(default_factory=list)
    entered: set[tuple[float, float]] = field(default_factory=set)
    """The entries that an exec was found for."""

    def may_be_own(self, event: EngineEvent, now: float) -> bool:
        """Note an exec that may be a check; return False for one that cannot be."""
        if (self.known and event.command != self.command) or len(self.pending) >= PENDING_MAX:
            return False
        self.pending.append(_Exec(event=event, noted=now))
        return True

    def interrupted(self) -> None:
        """Note that the container ended or was paused, or that the engine did: a check under way is never entered."""
        if self.pending:
            del self.pending[-1]

    def settle(self, checks: HealthChecks | None, now: float) -> list[EngineEvent]:
        """Compare with the engine's log; return the execs that turn out to be somebody's."""
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
        """Return whether the engine would have entered it by now: checks run one after the other."""
        if one.event.command != self.command:
            return True
        if _too_old(one, checks):
            return False
        later = any(began > one.event.at + CLOCK_SECONDS_MAX for began, _ in checks.log)
        return later or now - one.noted > checks.seconds_max + LATE_SECONDS_MAX


def _too_old(one: _Exec, checks: HealthChecks) -> bool:
    full = len(checks.log) >= LOG_ENTRIES_MAX
    return full and one.event.at < checks.log[0][0] - CLOCK_SECONDS_MAX
