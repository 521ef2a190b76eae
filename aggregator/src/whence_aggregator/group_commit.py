"""Group commit: whatever has queued while the last transaction ran is the next transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from whence_aggregator.ports import Overloaded

C = TypeVar("C")
R = TypeVar("R")


class GroupCommit(Generic[C, R]):
    """Collects commands and commits them together. `commit` gives a result, or an error, for each command in order."""

    def __init__(
        self, commit: Callable[[Sequence[C]], Awaitable[Sequence[R | Exception]]], *, batch_max: int, queue_max: int
    ) -> None:
        self._commit = commit
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._waiting: list[tuple[C, asyncio.Future[R]]] = []
        self._arrived = asyncio.Event()

    async def submit(self, command: C) -> R:
        """Give the command's result once its transaction is durable. Raises Overloaded when too many wait."""
        if len(self._waiting) >= self._queue_max:
            raise Overloaded("too-busy", "more is waiting than can be taken", retry_after_seconds=1.0)
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        self._arrived.set()
        return await future

    async def run(self) -> None:
        """Commit batches until cancelled; then refuse what still waits."""
        batch: list[tuple[C, asyncio.Future[R]]] = []
        try:
            while True:
                await self._arrived.wait()
                batch, self._waiting = self._waiting[: self._batch_max], self._waiting[self._batch_max :]
                if not self._waiting:
                    self._arrived.clear()
                await self._commit_batch(batch)
                batch = []
        finally:
            stopping = Overloaded("stopping", "the aggregator is stopping", retry_after_seconds=1.0)
            for _, future in batch + self._waiting:
                if not future.done():
                    future.set_exception(stopping)

    async def _commit_batch(self, batch: list[tuple[C, asyncio.Future[R]]]) -> None:
        results: Sequence[R | Exception]
        try:
            results = await self._commit([command for command, _ in batch])
        except Exception as exc:  # noqa: BLE001 - told to each caller, who raises it
            results = [exc] * len(batch)
        for (_, future), result in zip(batch, results, strict=True):
            if future.done():
                continue
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)
