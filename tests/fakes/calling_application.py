"""An application that calls a service all the time with unmodified python-tokens, and the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from fakes.loopback import loopback
from fakes.openid_provider import CLIENTS, SECRET, OpenIdProvider
from landscape.whole import ROOT
from whence_common.runtime.pause import pause

WAIT_SECONDS_MAX = 60.0


@dataclass
class Service:
    """A service that accepts a token if the provider calls it active."""

    provider: OpenIdProvider
    url: str = ""
    presented: set[str] = field(default_factory=set)

    async def _answer(self, request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.presented.add(token)
        _, found = await self.provider.request(
            "/token/introspection", token=token, client_id="whence", client_secret=SECRET
        )
        if not found.get("active"):
            return web.json_response(found, status=401)
        if found["scope"] != "customer.read_all":
            return web.json_response(found, status=403)
        return web.json_response({"client_id": found["client_id"]})

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[Service]:
        application = web.Application()
        application.router.add_get("/", self._answer)
        async with loopback(application) as host:
            self.url = f"http://{host}/"
            yield self


@dataclass
class Application:
    """A process that calls the service all the time."""

    process: asyncio.subprocess.Process

    async def told(self) -> dict[str, Any]:
        """Return how many calls it has made, of which client the last was, and what was refused."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            found: dict[str, Any] = json.loads(await self.process.stdout.readline() or b"{}")
        assert found.get("refused") == [], found
        return found

    async def until(self, client_id: str) -> dict[str, Any]:
        """Wait until its calls are of a client."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while (found := await self.told())["client_id"] != client_id:
                await pause(0.05)
        return found


@asynccontextmanager
async def application(service: Service, credentials: Path) -> AsyncIterator[Application]:
    script = ROOT / "tests" / "clients" / "calling_application.py"
    process = await asyncio.create_subprocess_exec(
        CLIENTS / "bin" / "python", script, service.url, "pay", "customer.read_all",
        env={"CREDENTIALS_DIR": str(credentials)}, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield Application(process)
    finally:
        process.kill()
        await process.wait()
