"""What the agent asks the Engine beside its containers: how it checks them, whether it lives, what it remembers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChecks:
    """The engine's own checks of one container, as its image asks for them."""

    command: str
    """Digest of the command line that the engine executes, as in `EngineEvent`."""
    seconds_max: float
    log: tuple[tuple[float, float], ...] = ()
    """When the last checks began and ended, by the engine's clock in seconds, oldest first. Docker keeps five."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """What the engine remembers of a container's end. `killed`: somebody, or the engine, sent it a signal before."""

    died: bool
    killed: bool = False
    live_restore: bool = False
    """Whether containers stay up while this engine is down."""


class EngineLife(Protocol):
    async def ping(self) -> None:
        """Have the engine take a new connection and answer at once. Raises EngineFailed."""

    async def remembered(self, container_id: str, *, since: float, until: float) -> Remembered:
        """Return what the engine remembers of a container's end. Raises EngineFailed."""
