"""What moto's server lacks: CloudFormation's SignalResource and Auto Scaling's CompleteLifecycleAction. The rest goes on to moto.

It speaks AWS's query protocol: a form with an Action in, XML out (CloudFormation 2010-05-15, Auto Scaling 2011-01-01).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

_OURS = ("SignalResource", "CompleteLifecycleAction")


@dataclass
class AwsFront:
    """`told` holds the calls that were answered here. `errors` are codes for the next of them."""

    backend: str
    told: list[dict[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[AwsFront]:
        """Serve on a loopback port for the block's duration; `url` says which."""
        application = web.Application(client_max_size=16 * 1024 * 1024)
        application.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            async with aiohttp.ClientSession(auto_decompress=False) as self._session:
                await web.TCPSite(runner, "127.0.0.1", 0).start()
                self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
                yield self
        finally:
            await runner.cleanup()

    def signals(self) -> list[str]:
        """Give what CloudFormation was signalled, in order."""
        return [call["Status"] for call in self.told if call["Action"] == "SignalResource"]

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        form = dict(parse_qsl(body.decode("utf-8", "replace")))
        action = form.get("Action", "")
        if action not in _OURS:
            return await self._forward(request, body)
        assert "Signature=" in request.headers.get("Authorization", ""), "AWS takes no unsigned call"
        if self.errors:
            code = self.errors.pop(0)
            text = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
            return web.Response(status=400, text=text, content_type="text/xml")
        self.told.append(form)
        inner = "" if action == "SignalResource" else "<CompleteLifecycleActionResult/>"
        text = (
            f"<{action}Response>{inner}<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{action}Response>"
        )
        return web.Response(text=text, content_type="text/xml")

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        async with self._session.request(
            request.method, self.backend + request.path_qs, headers=headers, data=body
        ) as answer:
            passed = {name: value for name, value in answer.headers.items() if name not in ("Transfer-Encoding",)}
            return web.Response(status=answer.status, body=await answer.read(), headers=passed)
