"""The interface of a boot stage: it receives what earlier stages observed, and returns what it observed itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from whence_agent.progress.stage import StageProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a stage observed. Stages that observe more have a subclass."""

    note: str = ""
    """The text that the status shows with the stage's outcome."""
    deferred: bool = False
    """Whether the stage's work is done later; the boot does not wait for it."""


Seen = TypeVar("Seen", bound=Observation)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedSoFar:
    """The observations of earlier stages, by their names."""

    found: Mapping[str, Observation] = field(default_factory=dict)

    def of(self, kind: type[Seen]) -> Seen:
        """Return the observation of this class. A stage may request only those of its row's `needs`."""
        for one in self.found.values():
            if isinstance(one, kind):
                return one
        raise AssertionError(f"no earlier stage has observed {kind.__name__}")

    def only(self, names: tuple[str, ...]) -> ObservedSoFar:
        """Return the observations of these stages."""
        return ObservedSoFar(found={name: one for name, one in self.found.items() if name in names})

    def adding(self, name: str, observation: Observation) -> ObservedSoFar:
        """Return these observations and one more."""
        return ObservedSoFar(found={**self.found, name: observation})


@dataclass(frozen=True, slots=True, kw_only=True)
class StageHandle:
    """What a running stage uses: its progress on the status, early observations, and deadlines of its parts."""

    stage: StageProgress
    observed: Callable[[Observation], None]
    """Records an observation before the stage has ended, so that it remains if the stage fails."""
    part: Callable[[float], AbstractAsyncContextManager[None]]
    """Runs a part of the stage under a deadline of its own, in seconds. Raises TimeoutError."""


class Stage(Protocol):
    @property
    def name(self) -> str:
        """Return the stage's name in the table."""

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        """Return whether user data needs the stage; otherwise it is skipped."""

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Run the stage and return what it observed. Raises StageFailed, WhenceError, OSError or TimeoutError."""
