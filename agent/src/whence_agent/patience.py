"""Retries within a boot stage: transient errors are retried until its deadline; a permanent error ends it at once."""

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
    """The policy for retries within a boot stage. The stage's deadline ends them, not a number of tries."""

    backoff: Backoff

    async def keep_trying(
        self, once: Callable[[], Awaitable[T]], stage: StageProgress, *, waiting_for: str, attempts_before: int = 0
    ) -> T:
        """Return what `once` returns, after as many retries as retryable RoadErrors require.

        `waiting_for` names the service for the status, which adds the number of the try and the time left: "the
        registry registry.example.org". `once` must bound the time of each try itself. Raises what `once` raises if it
        is not a RoadError or not retryable.
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
                stage.clear_wait()
                return found
