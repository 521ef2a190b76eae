"""Patience: what may pass is tried again until the deadline of the boot stage; what cannot pass ends it at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from whence_agent.progress.stage import StageProgress
from whence_common.backoff import Backoff
from whence_common.errors import RoadError
from whence_common.runtime.pause import pause

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """The one policy for tries within a boot stage. The stage's deadline, not a count of tries, ends them."""

    backoff: Backoff

    async def keep_trying(
        self, once: Callable[[], Awaitable[T]], stage: StageProgress, *, waiting_for: str, attempts_before: int = 0
    ) -> T:
        """Return what `once` returns, trying again after each RoadError that is retryable.

        `waiting_for` names the other side in words for people: "the registry registry.example.org". The status shows
        it with the number of the try and the time left. `once` must bound the time of each try itself.
        Raises what `once` raises that is no RoadError, or not retryable.
        """
        attempt = attempts_before
        while True:
            stage.asking = waiting_for
            try:
                found = await once()
            except RoadError as exc:
                if not exc.retryable:
                    raise
                attempt += 1
                stage.wait_for(waiting_for, attempt=attempt + 1, error=exc)
                await pause(self.backoff.seconds(attempt, at_least_seconds=exc.retry_after_seconds))
            else:
                stage.waits_no_more()
                return found
