"""What a stage of the boot is: it takes what the stages before it observed, and returns what it observed itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from whence_agent.progress.stage import StageProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a stage observed. Each stage has a class of its own."""

    note: str = ""
    """What the status shows beside the stage's outcome."""
    deferred: bool = False
    """Whether what it was for is still to be done, which the boot does not wait for."""


Seen = TypeVar("Seen", bound=Observation)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedSoFar:
    """What the stages before have observed, by their names."""

    found: Mapping[str, Observation] = field(default_factory=dict)

    def of(self, kind: type[Seen]) -> Seen:
        """Return the observation of this class. A stage asks only for what its row in the table needs."""
        for one in self.found.values():
            if isinstance(one, kind):
                return one
        raise AssertionError(f"no stage that comes before has observed {kind.__name__}")

    def only(self, names: tuple[str, ...]) -> ObservedSoFar:
        """Return what these stages observed."""
        return ObservedSoFar(found={name: one for name, one in self.found.items() if name in names})

    def adding(self, name: str, observation: Observation) -> ObservedSoFar:
        """Return it with what one more stage observed."""
        return ObservedSoFar(found={**self.found, name: observation})


@dataclass(frozen=True, slots=True, kw_only=True)
class StageHandle:
    """Where a stage is: what the status shows of it, and how it hands over what it observes before it is done."""

    stage: StageProgress
    observed: Callable[[Observation], None]
    """Takes what has been observed already: a stage that fails later has observed it all the same."""
    part: Callable[[float], AbstractAsyncContextManager[None]]
    """Runs a part of the stage under a deadline of its own, in seconds. Raises TimeoutError."""


class Stage(Protocol):
    @property
    def name(self) -> str:
        """Its name in the table."""

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        """Return whether user data asks for it; else it is left out."""

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Do its work and return what it observed. Raises StageFailed, WhenceError, OSError or TimeoutError."""
