"""A road to moto on which a program is killed at the request that a test chooses: before it, after it, or a moment later."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Literal

import aiohttp
from aiohttp import web

from whence_common.runtime.pause import pause

Place = Literal["before", "after", "soon"]
"""Whether AWS has not seen the request, has done it but its answer is lost, or its answer was received."""
_SOON_SECONDS_MAX = 0.15
_HIDDEN = re.compile(rb'("VisibilityTimeout": ?)[0-9]+')
_POLLED = re.compile(rb'("WaitTimeSeconds": ?)[0-9]+')
_HOP = ("content-length", "transfer-encoding", "connection", "date", "server", "host")


@dataclass
class KillingRoad:
    """Passes requests on. Messages stay hidden for 2 seconds, so that a test need not wait for those of the killed."""

    random: Random
    url: str = ""
    kill: Callable[[], Awaitable[None]] | None = None
    left: int = 0
    """Requests until the kill."""
    place: Place = "before"
    killed: asyncio.Event = field(default_factory=asyncio.Event)

    def arm(self, kill: Callable[[], Awaitable[None]], *, requests_max: int) -> None:
        """Choose a request of the next ones, and where in it the program dies."""
        self.left = self.random.randint(1, requests_max)
        self.place = self.random.choice(("before", "after", "soon"))
        self.killed.clear()
        self.kill = kill

    async def dies(self, place: Place) -> None:
        """Kill the program if this is the place."""
        kill = self.kill
        if kill is None or self.left > 0 or self.place != place:
            return
        self.kill = None
        if place == "soon":
            await pause(self.random.uniform(0, _SOON_SECONDS_MAX))
        await kill()
        self.killed.set()


@asynccontextmanager
async def killing_road(aws_url: str, random: Random) -> AsyncIterator[KillingRoad]:
    road = KillingRoad(random)
    following = set[asyncio.Task[None]]()

    async def pass_on(request: web.Request) -> web.Response:
        body = _POLLED.sub(rb"\g<1>1", _HIDDEN.sub(rb"\g<1>2", await request.read()))
        road.left -= 1
        await road.dies("before")
        kept = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        async with session.request(request.method, aws_url + request.raw_path, data=body, headers=kept) as answer:
            content = await answer.read()
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
        await road.dies("after")
        task = asyncio.create_task(road.dies("soon"))
        following.add(task)
        task.add_done_callback(following.discard)
        return web.Response(status=answer.status, body=content, headers=headers)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", pass_on)
    runner = web.AppRunner(application, access_log=None)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            road.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield road
            await asyncio.gather(*following)
        finally:
            await runner.cleanup()
