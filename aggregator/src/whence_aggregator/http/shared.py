"""One query for concurrent callers: probes must not add to the load of a database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

FRESH_SECONDS = 1.0
ASKED_SECONDS_MAX = 10.0
T = TypeVar("T")


class Shared(Generic[T]):
    """Runs one query at a time for all callers, and reuses its answer while it is fresh."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[T]],
        *,
        fresh_seconds: float = FRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._fresh_seconds = fresh_seconds
        self._clock = clock
        self._asked: asyncio.Task[T] | None = None
        self._answered_at = 0.0

    async def get(self, *, seconds_max: float) -> T:
        """Return the answer. Raises TimeoutError when it takes longer, and what the query raises."""
        asked = self._asked
        if asked is None or (asked.done() and self._clock() - self._answered_at >= self._fresh_seconds):
            asked = self._asked = asyncio.create_task(self._bounded())
            asked.add_done_callback(self._note)
        done, _ = await asyncio.wait({asked}, timeout=seconds_max)
        if not done:
            raise TimeoutError
        return asked.result()

    async def close(self) -> None:
        """Cancel a query in progress."""
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.wait({self._asked}, timeout=FRESH_SECONDS)

    async def _bounded(self) -> T:
        try:
            async with asyncio.timeout(ASKED_SECONDS_MAX):
                return await self._ask()
        finally:
            self._answered_at = self._clock()  # before the task is done: the next caller must see it

    def _note(self, asked: asyncio.Task[T]) -> None:
        if not asked.cancelled():
            asked.exception()  # the waiting callers raise it; there may be none left
