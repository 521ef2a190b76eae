"""A provider that answers what a test wants, and counts what it is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from fakes.loopback import loopback

Lie = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class LyingProvider:
    """`lie` answers every request but DELETE, which is answered with `delete_status`."""

    lie: Lie
    delete_status: int = 204
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[LyingProvider]:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        async with loopback(application, shutdown_seconds=0.1) as host:
            self.url = f"http://{host}"
            yield self

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.method, request.path))
        return web.Response(status=self.delete_status) if request.method == "DELETE" else await self.lie(request)
