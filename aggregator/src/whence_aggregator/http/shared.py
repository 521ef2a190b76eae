"""One query for concurrent callers: probes must not add to the load of a database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

FRESH_SECONDS = 1.0
ASKED_SECONDS_MAX = 10.0
T = TypeVar("T")


class Shared(Generic[T]):
    """Runs one query at a time for all callers, and reuses its answer while it is fresh.

    An error is kept for `failed_seconds_max`; without it, as long as an answer.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[T]],
        *,
        fresh_seconds: float = FRESH_SECONDS,
        failed_seconds_max: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._fresh_seconds = fresh_seconds
        self._failed_seconds = fresh_seconds if failed_seconds_max is None else failed_seconds_max
        self._clock = clock
        self._asked: asyncio.Task[T] | None = None
        self._answered_at = 0.0

    async def get(self, *, seconds_max: float) -> T:
        """Return the answer. Raises TimeoutError when it takes longer, and what the query raises."""
        asked = self._asked
        if asked is None or (asked.done() and self._clock() - self._answered_at >= self._kept_seconds(asked)):
            asked = self._asked = asyncio.create_task(self._bounded())
            asked.add_done_callback(self._note)
        done, _ = await asyncio.wait({asked}, timeout=seconds_max)
        if not done:
            raise TimeoutError
        return asked.result()

    def _kept_seconds(self, asked: asyncio.Task[T]) -> float:
        failed = asked.cancelled() or asked.exception() is not None
        return self._failed_seconds if failed else self._fresh_seconds

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


class Refreshed(Generic[T]):
    """Returns what was read last without waiting, and has it read again when that is older than `fresh_seconds`.

    For what takes long to read, and may be some seconds old. Only the first reading, and one that is missing for longer
    than `old_seconds_max`, are waited for.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[T]],
        *,
        fresh_seconds: float,
        old_seconds_max: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._reading = Shared(self._read, fresh_seconds=fresh_seconds, clock=clock)
        self._waiting: asyncio.Task[None] | None = None
        self._fresh_seconds = fresh_seconds
        self._old_seconds_max = old_seconds_max
        self._clock = clock
        self._known: tuple[float, T] | None = None

    async def get(self, *, seconds_max: float) -> T:
        """Return the last answer. Raises TimeoutError when the first takes longer, and what the query raises."""
        known = self._known
        if known is None or self._clock() - known[0] >= self._old_seconds_max:
            return await self._reading.get(seconds_max=seconds_max)
        if self._clock() - known[0] >= self._fresh_seconds and (self._waiting is None or self._waiting.done()):
            self._waiting = asyncio.create_task(self._again())
        return known[1]

    async def close(self) -> None:
        """Cancel a query in progress."""
        await self._reading.close()

    async def _again(self) -> None:
        with suppress(Exception):  # what was read last is returned until it is too old; then the error is raised
            await self._reading.get(seconds_max=ASKED_SECONDS_MAX)

    async def _read(self) -> T:
        found = await self._ask()
        self._known = self._clock(), found
        return found
