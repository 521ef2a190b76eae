"""A declared container as its watchers know it, beside the facts that are stated of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from whence_agent.progress.watched_state import WatchedState
from whence_agent.watch.own_checks import OwnChecks
from whence_agent.watch.restarts import Restarts
from whence_common.statement import ContainerFacts

ENDED = ("created", "exited", "dead")
"""`created` is what an engine says of a container that it never could start."""


@dataclass(slots=True, kw_only=True)
class SeenEnd:
    """What the engine's events told of a container's present run."""

    died: bool = False
    killed: bool = False


@dataclass(slots=True, kw_only=True)
class Watched:
    name: str
    main: bool
    joins: str
    """The container whose network it shares: that network is lost with every start of it. Empty: none."""
    digest: str
    restarts: Restarts
    configuration: Mapping[str, str] | None = None
    restart_at: float | None = None
    judged: bool = False
    """Whether the present end has been judged already."""
    checks: OwnChecks = field(default_factory=OwnChecks)
    end: SeenEnd = field(default_factory=SeenEnd)
    ran_in: int = 0
    """The engine's life in which it was seen running last."""
    stopped_at: float | None = None
    """When it was first seen ended by hand, and not with its engine, until that end is judged."""
    gone_at: float | None = None
    gone_told: bool = False

    def facts(self, state: WatchedState) -> ContainerFacts | None:
        """Return what is stated of it."""
        return state.container if self.main else state.sidecars.get(self.name)

    def record(self, state: WatchedState, facts: ContainerFacts) -> None:
        """Have other facts stated of it."""
        state.record_container(facts, main=self.main)
