"""Whether a process should be sent requests: it is not stopping, and what it stands on answers in time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from whence_aggregator.http.shared import FRESH_SECONDS, Shared
from whence_aggregator.ports import StorageUnavailable
from whence_common.errors import RoadError

ANSWER_SECONDS_MAX = 1.5
"""Probes wait two seconds; the answer has to be on its way before."""


class NotReady(RoadError):
    """The process should be sent no requests now."""


class Readiness:
    """Says whether to send requests here. `check` raises while what the process stands on cannot be used."""

    def __init__(self, check: Callable[[], Awaitable[object]], *, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._check = Shared(check, fresh_seconds=fresh_seconds)
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether the process is about to end: requests are answered, and connections closed after them."""
        return self._draining

    def drain(self) -> None:
        """Be ready no more."""
        self._draining = True

    async def check(self) -> None:
        """Return within two seconds. Raises NotReady or StorageUnavailable."""
        if self._draining:
            raise NotReady("draining", "the process is about to end", fix="send requests to another replica")
        try:
            await self._check.get(seconds_max=ANSWER_SECONDS_MAX)
        except TimeoutError as exc:
            raise slow_database() from exc

    async def close(self) -> None:
        await self._check.close()

    def around(self, handler: Handler) -> Handler:
        """Have connections closed after their answer while the process drains."""

        async def handle(request: web.Request) -> web.StreamResponse:
            response = await handler(request)
            if self._draining and not response.prepared:
                response.force_close()
            return response

        return handle


def slow_database() -> StorageUnavailable:
    return StorageUnavailable(
        "storage-slow",
        f"the database has not answered within {ANSWER_SECONDS_MAX:g} seconds",
        fix="look at the database: its load, its locks, its disk, and the network on the way",
    )
