"""A minimum rate for request bodies: the time that a client may take depends on the bytes that it sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import web

from whence_aggregator.http.connections import CONNECTION


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPace:
    """How long to wait for a body. Received bytes extend the time, up to its initial value."""

    grace_seconds: float
    bytes_per_second_min: float

    def after(self, seconds_left: float, waited_seconds: float, received: int) -> float:
        """Return the remaining time after a wait in which `received` bytes arrived."""
        return min(self.grace_seconds, seconds_left - waited_seconds + received / self.bytes_per_second_min)


async def paced_chunks(
    request: web.BaseRequest, pace: RequestPace, *, passed_on: bool, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[bytes]:
    """Yield a body's bytes as they arrive. Raises TimeoutError when they arrive too slowly.

    `passed_on`: the caller does not keep yielded bytes in memory, so the connection no longer holds them.
    """
    connection, left = request.get(CONNECTION), pace.grace_seconds
    while True:
        began = clock()
        try:
            async with asyncio.timeout(max(0.0, left)):
                chunk = await request.content.readany()
        except TimeoutError:
            if connection is not None:
                connection.refuse("slow-body")
            raise
        left = pace.after(left, clock() - began, len(chunk))
        if not chunk:
            return
        size = len(chunk)
        yield chunk
        del chunk
        if passed_on and connection is not None:
            connection.passed_on(size)
