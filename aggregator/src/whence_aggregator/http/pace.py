"""A floor on the progress of bodies: a client that keeps us waiting must have sent something for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import web

from whence_aggregator.http.connections import CONNECTION


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPace:
    """How long a client may keep us waiting for a body. What it sends earns time, up to what it had at first."""

    grace_seconds: float
    bytes_per_second_min: float

    def after(self, seconds_left: float, waited_seconds: float, received: int) -> float:
        """Return the time that is left after a wait for so many bytes."""
        return min(self.grace_seconds, seconds_left - waited_seconds + received / self.bytes_per_second_min)


async def paced_chunks(
    request: web.BaseRequest, pace: RequestPace, *, passed_on: bool, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[bytes]:
    """Give a body's bytes as they come. Raises TimeoutError when they come too slowly.

    `passed_on`: what was given is not kept in memory, so the connection holds it no longer.
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
