"""Group commit: the commands queued during one transaction are committed in the next."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from whence_aggregator.ports import Overloaded, StorageUnavailable
from whence_common.errors import RoadError
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

C = TypeVar("C")
R = TypeVar("R")


class _Done(asyncio.Future[Any]):
    """A future awaited by many tasks: cancelling one of them does not cancel it for the others."""

    def cancel(self, msg: object = None) -> bool:
        return False


class _Batch(Generic[C, R]):
    """Commands that are committed together. `done` resolves to their results, in order."""

    def __init__(self) -> None:
        self.commands: list[C] = []
        self.done = _Done(loop=asyncio.get_running_loop())


class GroupCommit(Generic[C, R]):
    """Collects commands and commits them together. `commit` returns a result, or an error, for each command in order.

    At most `at_once` batches are committed concurrently.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[C]], Awaitable[Sequence[R | Exception]]],
        *,
        batch_max: int,
        queue_max: int,
        at_once: int = 1,
    ) -> None:
        self._commit = commit
        self._at_once = at_once
        self._batch_max = batch_max
        self._queue_max = queue_max
        self._batches: deque[_Batch[C, R]] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> tuple[int, int]:
        """Return the number of waiting commands, and its maximum."""
        return self._waiting, self._queue_max

    async def submit(self, command: C) -> R:
        """Return the command's result once its transaction is durable. Raises Overloaded when too many wait."""
        if self._waiting >= self._queue_max:
            raise Overloaded("too-busy", "the queue is full", retry_after_seconds=1.0)
        if not self._batches or len(self._batches[-1].commands) >= self._batch_max:
            self._batches.append(_Batch())
            self._arrived.set()
        batch = self._batches[-1]
        place = len(batch.commands)
        batch.commands.append(command)
        self._waiting += 1
        result: R | Exception = (await batch.done)[place]
        if isinstance(result, Exception):
            raise result
        return result

    async def run(self) -> None:
        """Commit batches until cancelled; then refuse the waiting commands."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._at_once):
                    group.create_task(self._run())
        finally:
            for left in self._batches:
                self._refuse(left)

    async def _run(self) -> None:
        while True:
            while not self._batches:
                self._arrived.clear()
                await self._arrived.wait()
            batch = self._batches.popleft()
            self._waiting -= len(batch.commands)
            try:
                batch.done.set_result(await self._results(batch.commands))
            finally:
                self._refuse(batch)

    def _refuse(self, batch: _Batch[C, R]) -> None:
        if not batch.done.done():
            stopping = Overloaded("stopping", "the aggregator is stopping", retry_after_seconds=1.0)
            batch.done.set_result([stopping] * len(batch.commands))

    async def _results(self, commands: Sequence[C]) -> Sequence[R | Exception]:
        """Return the results of commands; on a failure, isolate the command that causes it, and commit the others."""
        result = await self._attempt(commands)
        return await self._split(commands, result) if isinstance(result, Exception) else result

    async def _split(self, commands: Sequence[C], failure: Exception) -> list[R | Exception]:
        """Return the results of committing both halves of a failed batch; failed halves are split again.

        A storage outage fails the whole batch: splitting would only repeat the failing call. Another RoadError (a
        verifier process that ended) is split only while one of the halves succeeds.
        """
        if len(commands) == 1 or isinstance(failure, StorageUnavailable):
            return [failure] * len(commands)
        log.warning("a batch failed: splitting it", extra=fields(commands=len(commands), error=type(failure).__name__))
        half = len(commands) // 2
        parts = [commands[:half], commands[half:]]
        attempts = [await self._attempt(part) for part in parts]
        if isinstance(failure, RoadError) and len(commands) > 2 and all(isinstance(one, Exception) for one in attempts):
            return [failure] * len(commands)
        results: list[R | Exception] = []
        for part, attempt in zip(parts, attempts, strict=True):
            results += await self._split(part, attempt) if isinstance(attempt, Exception) else attempt
        return results

    async def _attempt(self, commands: Sequence[C]) -> Sequence[R | Exception] | Exception:
        try:
            results = await self._commit(commands)
        except Exception as exc:  # noqa: BLE001 - returned to each caller, who raises it
            return exc
        assert len(results) == len(commands), "`commit` must return one result for each command"
        return results
