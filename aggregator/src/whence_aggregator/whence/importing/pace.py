"""The pace of requests of one run: a pause between them, retries of transient errors, and a bound of the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from whence_aggregator.whence.client import Refused
from whence_common.errors import RoadError, WhenceError

REQUESTS_PER_SECOND_MAX = 20.0
RUN_SECONDS_MAX = 3 * 3600.0
TRIES_MAX = 4
WAIT_SECONDS_MAX = 60.0
_FIRST_WAIT_SECONDS = 1.0
_LIMITED = 429
_T = TypeVar("_T")


class Pace:
    """Spaces requests to one server. `seconds` is a monotonic clock."""

    def __init__(
        self,
        *,
        seconds: Callable[[], float],
        sleep: Callable[[float], None],
        per_second_max: float = REQUESTS_PER_SECOND_MAX,
        run_seconds_max: float = RUN_SECONDS_MAX,
    ) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self._gap_seconds = 1 / per_second_max
        self._run_seconds_max = run_seconds_max
        self._until = seconds() + run_seconds_max
        self._next = 0.0

    def check(self, what: str) -> None:
        """Raise RoadError once the run's time is over."""
        if self._seconds() > self._until:
            message = f"{what} was not imported: the run took over {self._run_seconds_max:g} seconds"
            raise RoadError("import-too-slow", message, fix="run it again: what was written stays", retryable=False)

    def tried(self, request: Callable[[], _T], *, retried: Callable[[WhenceError], bool]) -> _T:
        """Return a request's result; errors that `retried` accepts are tried again, with growing pauses.

        A server that limits the rate (429) is asked again after the time that it states, until the run's time is over.
        """
        wait, left = _FIRST_WAIT_SECONDS, TRIES_MAX
        while True:
            self.check("the rest")
            now = self._seconds()
            if now < self._next:
                self._sleep(self._next - now)
            self._next = self._seconds() + self._gap_seconds
            try:
                return request()
            except WhenceError as exc:
                if isinstance(exc, Refused) and exc.status == _LIMITED:
                    self._sleep(min(exc.retry_after_seconds or _FIRST_WAIT_SECONDS, WAIT_SECONDS_MAX))
                    continue
                left -= 1
                if not left or not retried(exc):
                    raise
            self._sleep(wait)
            wait *= 2
