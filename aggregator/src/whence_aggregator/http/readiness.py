"""Readiness of a process for requests: it is not stopping, and what it depends on answers in time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Handler

from whence_aggregator.http.shared import FRESH_SECONDS, Shared
from whence_aggregator.ports import StorageUnavailable
from whence_common.errors import RoadError

ANSWER_SECONDS_MAX = 1.5
"""Below two seconds, after which probes time out."""


class NotReady(RoadError):
    """The process is not ready for requests."""


class Readiness:
    """Reports readiness. `check` raises while a dependency of the process is unavailable."""

    def __init__(self, check: Callable[[], Awaitable[object]], *, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._check = Shared(check, fresh_seconds=fresh_seconds)
        self._draining = False

    @property
    def draining(self) -> bool:
        """Return whether the process is about to end: it answers requests, and closes connections after them."""
        return self._draining

    def drain(self) -> None:
        """Report not ready from now on."""
        self._draining = True

    async def check(self) -> None:
        """Return within two seconds if the process is ready. Raises NotReady or StorageUnavailable."""
        if self._draining:
            raise NotReady("draining", "the process is about to end", fix="send requests to another replica")
        try:
            await self._check.get(seconds_max=ANSWER_SECONDS_MAX)
        except TimeoutError as exc:
            raise slow_database() from exc

    async def close(self) -> None:
        await self._check.close()

    def around(self, handler: Handler) -> Handler:
        """Wrap a handler to close connections after their answer while the process drains."""

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
        fix="check the database: its load, its locks, its disk, and the network to it",
    )
