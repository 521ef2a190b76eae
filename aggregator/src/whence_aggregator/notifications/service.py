"""The service that plans and sends notifications; several replicas may run it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from whence_aggregator.notifications.delivering import Delivering
from whence_aggregator.notifications.feeding import Feeding
from whence_aggregator.ports import StorageUnavailable
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

NOTIFY_SECONDS = 1.0
LANES_AT_ONCE_MAX = 16
TIDY_SECONDS = 3_600.0


class Notifying:
    """Feeds and delivers. A destination that is slow holds up no other one."""

    def __init__(self, *, feeding: Feeding, delivering: Delivering) -> None:
        self._feeding = feeding
        self._delivering = delivering
        self._under_way: set[str] = set()
        self._started = False

    async def run(self) -> None:
        """Notify until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await _kept(lambda: self._begin(group))
                await pause(NOTIFY_SECONDS)

    async def _begin(self, group: asyncio.TaskGroup) -> None:
        if not self._started:
            await self._feeding.start()
            self._started = True
        while await self._feeding.feed():
            pass
        await self._feeding.tidy()
        for name in await self._delivering.due():
            if name not in self._under_way and len(self._under_way) < LANES_AT_ONCE_MAX:
                self._under_way.add(name)
                group.create_task(self._deliver(name))

    async def _deliver(self, name: str) -> None:
        try:
            await _kept(lambda: self._delivering.run(name))
        finally:
            self._under_way.discard(name)


class Tidying:
    """Tidies alone, where the settings have no destination: what waited for those of before is retired."""

    def __init__(self, feeding: Feeding) -> None:
        self._feeding = feeding

    async def run(self) -> None:
        """Tidy until cancelled."""
        while True:
            await _kept(self._feeding.tidy)
            await pause(TIDY_SECONDS)


async def _kept(work: Callable[[], Awaitable[object]]) -> None:
    """Do work; what a database in trouble leaves undone is done next time."""
    try:
        await work()
    except StorageUnavailable as exc:
        log.error("storage unavailable", extra=fields(code=exc.code, message=exc.message))
