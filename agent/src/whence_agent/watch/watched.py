"""What supervision knows about a declared container, in addition to its facts in statements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from whence_agent.progress.watched_state import WatchedState
from whence_agent.watch.own_checks import OwnChecks
from whence_agent.watch.restarts import Restarts
from whence_common.statement import ContainerFacts

ENDED = ("created", "exited", "dead")
"""`created` is the state of a container that the engine could not start."""


@dataclass(slots=True, kw_only=True)
class SeenEnd:
    """The events of the end of a container's current run."""

    died: bool = False
    killed: bool = False


@dataclass(slots=True, kw_only=True)
class Watched:
    name: str
    main: bool
    joins: str
    """The container whose network it shares, and loses whenever that container starts again. Empty: none."""
    digest: str
    restarts: Restarts
    configuration: Mapping[str, str] | None = None
    restart_at: float | None = None
    judged: bool = False
    """Whether the current end has been handled already."""
    checks: OwnChecks = field(default_factory=OwnChecks)
    end: SeenEnd = field(default_factory=SeenEnd)
    ran_in: int = 0
    """The value of `Recovery.lives` when it was seen running last."""
    stopped_at: float | None = None
    """When it was first seen stopped by hand, until that end is handled."""
    gone_at: float | None = None
    removal_reported: bool = False

    def facts(self, state: WatchedState) -> ContainerFacts | None:
        """Return the container's facts."""
        return state.container if self.main else state.sidecars.get(self.name)

    def record(self, state: WatchedState, facts: ContainerFacts) -> None:
        """Replace the container's facts."""
        state.record_container(facts, main=self.main)
