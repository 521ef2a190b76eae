"""Intake: messages of a queue are received, hidden while they are taken, and deleted once that is durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from whence_aggregator.events.dead_letters import DEAD_LETTERS_MAX
from whence_aggregator.events.ports import VISIBILITY_SECONDS, QueuedMessage, TrailQueue
from whence_aggregator.events.rows import dead_counts, tasks_waiting
from whence_aggregator.events.taking import DIGEST_KIND, LOG_KIND, MessagePlace, MessageTaker
from whence_aggregator.ports import Database, SourceUnavailable, StorageUnavailable
from whence_aggregator.queries.events import (
    COUNT_TRAIL_DEAD,
    TRAIL_QUEUE_ASKED,
    TRAIL_QUEUE_FAILED,
    TRAIL_TASKS_WAITING,
    TrailQueueFailedParameters,
)
from whence_aggregator.queries.query import array, together
from whence_common.backoff import Backoff
from whence_common.clock import Now, to_millis
from whence_common.errors import one_line
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

TASKS_WAITING_MAX = 20_000
"""While so many files wait to be read, nothing more is received: the queue keeps it."""
ASKED_SECONDS = 30.0
"""How often a queue's length is asked."""
_FULL_SECONDS = 30.0


class TrailIntake:
    """Receives from one queue."""

    def __init__(
        self,
        *,
        queue: TrailQueue,
        place: MessagePlace,
        database: Database,
        taker: MessageTaker,
        backoff: Backoff,
        now: Now,
    ) -> None:
        self._queue = queue
        self._place = place
        self._database = database
        self._taker = taker
        self._backoff = backoff
        self._now = now
        self._asked_at = 0

    async def run(self) -> None:
        """Receive until cancelled; after a failure, later and later."""
        failures = 0
        while True:
            try:
                await self.round()
                failures = 0
            except SourceUnavailable as exc:
                failures += 1
                seconds = self._backoff.seconds(failures, at_least_seconds=exc.retry_after_seconds)
                await self._show(exc)
                await pause(seconds)
            except StorageUnavailable as exc:
                failures += 1
                log.error("storage unavailable", extra=fields(code=exc.code, message=exc.message))
                await pause(self._backoff.seconds(failures, at_least_seconds=None))

    async def round(self) -> int:
        """Receive once; return the number of messages. Raises SourceUnavailable or StorageUnavailable."""
        if await self._is_full():
            await pause(_FULL_SECONDS)
            return 0
        messages = await self._queue.receive()
        if messages:
            async with self._hidden([one.receipt for one in messages]):
                await self._taker.take([one.body for one in messages], self._place)
            await self._queue.delete([one.receipt for one in messages])
        await self._ask(messages)
        return len(messages)

    async def _is_full(self) -> bool:
        """Return whether too much waits here already; the queue then shows why."""
        waiting, dead = await self._database.fetch_all(
            together(TRAIL_TASKS_WAITING.bind({"kinds": array([LOG_KIND, DIGEST_KIND])}), COUNT_TRAIL_DEAD.bind({}))
        )
        letters = sum(dead_counts(dead).values())
        if letters >= DEAD_LETTERS_MAX:
            message = f"{letters} dead letters wait, and nothing more is received: replay or discard them"
            await self._show(SourceUnavailable("trail-dead-full", message))
            return True
        return tasks_waiting(waiting) >= TASKS_WAITING_MAX

    @asynccontextmanager
    async def _hidden(self, receipts: Sequence[str]) -> AsyncIterator[None]:
        """Keep messages hidden from other readers for the block, however long the database takes."""

        async def extend() -> None:
            while True:
                await pause(VISIBILITY_SECONDS / 3)
                try:
                    await self._queue.extend(receipts)
                except SourceUnavailable as exc:
                    log.warning("messages not hidden for longer", extra=fields(reason=exc.message))

        task = asyncio.create_task(extend())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _ask(self, messages: Sequence[QueuedMessage]) -> None:
        """Store the queue's length, and when the oldest message of this round was sent; now and then."""
        at = to_millis(self._now())
        if at - self._asked_at < ASKED_SECONDS * 1000:
            return
        waiting = await self._queue.waiting()
        self._asked_at = at
        sent = [one.sent_at for one in messages if one.sent_at]
        await self._database.write(
            TRAIL_QUEUE_ASKED.bind(
                [
                    {
                        "url": self._queue.url, "region": self._queue.region, "asked_at": at, "waiting": waiting,
                        "oldest_at": min(sent) if sent else None,
                    }
                ]
            )
        )  # fmt: skip

    async def _show(self, exc: SourceUnavailable) -> None:
        """Store why the queue is not read."""
        log.warning("queue not read", extra=fields(queue=self._queue.url, code=exc.code, reason=exc.message))
        row: TrailQueueFailedParameters = {
            "url": self._queue.url,
            "region": self._queue.region,
            "failed_at": to_millis(self._now()),
            "failure": one_line(exc.message, 300),
        }
        try:
            await self._database.write(TRAIL_QUEUE_FAILED.bind([row]))
        except StorageUnavailable as broken:
            log.error("storage unavailable", extra=fields(code=broken.code, message=broken.message))
