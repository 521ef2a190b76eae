"""What the agent asks the Engine apart from containers: its health checks, whether it answers, its past events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChecks:
    """The engine's health checks of one container, which its image declares."""

    command: str
    """Digest of the command line that the engine executes, computed as in `EngineEvent`."""
    seconds_max: float
    log: tuple[tuple[float, float], ...] = ()
    """Begin and end of the last checks by the engine's clock, in seconds, oldest first. Docker stores five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """The stored events of a container's end. `killed`: it received a signal first, from the engine or a user."""

    died: bool
    killed: bool = False
    live_restore: bool = False
    """Whether containers continue to run while this engine is down."""


class EngineLife(Protocol):
    async def ping(self) -> None:
        """Check that the engine accepts a new connection and answers at once. Raises EngineFailed."""

    async def remembered(self, container_id: str, *, since: float, until: float) -> Remembered:
        """Return the engine's stored events of a container's end. Raises EngineFailed."""
