"""What may be before a registry, and fails for a while: a load balancer, a proxy, a network. The rest is the real one's."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web

Way = Literal["answers", "drops", "stops", "breaks-off"]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """An answer in the registry's stead; or the connection is dropped, the body stops, or ends before its length."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    way: Way = "answers"


@dataclass
class RegistryWeather:
    """A registry that serves `faults`, first to last, before anything else."""

    backend: str
    faults: list[Fault] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The paths that were asked for."""
    host: str = ""
    calm: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the test is over: what stopped goes on."""

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        if self.faults:
            return await self._failed(request, self.faults.pop(0))
        url = f"http://{self.backend}{request.path_qs}"
        headers = {"Accept": request.headers.get("Accept", "*/*")}
        async with self._session.get(url, headers=headers) as answer:
            passed = {name: value for name, value in answer.headers.items() if name != "Transfer-Encoding"}
            return web.Response(status=answer.status, body=await answer.read(), headers=passed)

    async def _failed(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        assert request.transport is not None
        if fault.way == "drops":
            request.transport.abort()
            return web.Response()
        if fault.way == "answers":
            return web.Response(status=fault.status, body=fault.body, headers=dict(fault.headers))
        response = web.StreamResponse(headers={"Content-Length": str(len(fault.body) + 1000), **fault.headers})
        await response.prepare(request)
        await response.write(fault.body)
        if fault.way == "breaks-off":
            request.transport.close()
        else:
            await self.calm.wait()
        return response

    @asynccontextmanager
    async def serve(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[RegistryWeather]:
        """Serve on loopback for the block's duration; `host` says where."""
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            async with aiohttp.ClientSession(auto_decompress=False) as self._session:
                await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
                self.host = f"127.0.0.1:{runner.addresses[0][1]}"
                yield self
        finally:
            self.calm.set()
            await runner.cleanup()
