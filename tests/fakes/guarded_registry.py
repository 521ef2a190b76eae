"""A guard before the real registry: it asks for a sign-in as registries do, and writes down who was shown what."""

from __future__ import annotations

import base64
import secrets
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
from aiohttp import web

from fakes.blob_weather import BlobWeather

Kind = Literal["open", "basic", "bearer"]


@dataclass
class GuardedRegistry:
    """`users` may sign in. `seen` holds the Authorization of every request, by path; empty where there was none."""

    backend: str
    kind: Kind = "basic"
    users: dict[str, str] = field(default_factory=lambda: {"robot": "hunter2hunter2"})
    realm: str = ""
    """Where tokens are given; empty for the guard's own /token."""
    redirect_blobs_to: str = ""
    redirect_status: int = 307
    production_ready: bool = False
    token_seconds: float = 300.0
    weather: BlobWeather | None = None
    seen: list[tuple[str, str]] = field(default_factory=list)
    host: str = ""

    def __post_init__(self) -> None:
        self._tokens: dict[str, float] = {}

    @asynccontextmanager
    async def serve(self, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[GuardedRegistry]:
        """Serve on a loopback port for the block's duration; `host` says which."""
        application = web.Application(client_max_size=64 * 1024 * 1024)
        application.router.add_get("/token", self._token)
        application.router.add_post("/token", self._refresh)
        application.router.add_route("*", "/{path:.*}", self._forward)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await runner.setup()
        try:
            async with aiohttp.ClientSession(auto_decompress=False) as self._session:
                await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
                self.host = f"127.0.0.1:{runner.addresses[0][1]}"
                yield self
        finally:
            await runner.cleanup()

    def shown(self) -> set[str]:
        """Give every Authorization that was ever shown."""
        return {authorization for _, authorization in self.seen if authorization}

    async def _token(self, request: web.Request) -> web.Response:
        self._see(request)
        if not self._is_user(request.headers.get("Authorization", "")):
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
        return web.json_response({"token": self.new_token(), "expires_in": int(self.token_seconds)})

    def new_token(self, token: str = "") -> str:
        """Give a token that pulls everything until it ends."""
        token = token or secrets.token_urlsafe(20)
        self._tokens[token] = time.monotonic() + self.token_seconds
        return token

    async def _refresh(self, request: web.Request) -> web.Response:
        self._see(request)
        form = await request.post()
        good = form.get("grant_type") == "refresh_token" and form.get("refresh_token") in self.users.values()
        if not good:
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
        return web.json_response({"access_token": self.new_token(), "expires_in": int(self.token_seconds)})

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        self._see(request)
        refusal = self._refusal(request.headers.get("Authorization", ""))
        if refusal is not None:
            return refusal
        if self.redirect_blobs_to and "/blobs/sha256" in request.path:
            headers = {"Location": f"http://{self.redirect_blobs_to}{request.path_qs}"}
            return web.Response(status=self.redirect_status, headers=headers)
        passed_on = request.headers.copy()  # engines send several Accept headers
        for name in ("Authorization", "Transfer-Encoding"):
            passed_on.popall(name, None)
        url = f"http://{self.backend}{request.path_qs}"
        async with self._session.request(request.method, url, headers=passed_on, data=await request.read()) as answer:
            passed = {name: value for name, value in answer.headers.items() if name not in ("Transfer-Encoding",)}
            if self.production_ready:
                passed["X-Production-Ready-Taupage"] = "true"
            body = await answer.read()
            if self.weather is not None and "/blobs/sha256" in request.path and request.method == "GET":
                return await self.weather.send(request, body, passed)
            return web.Response(status=answer.status, body=body, headers=passed)

    def _refusal(self, authorization: str) -> web.Response | None:
        if self.kind == "open":
            return None
        if self.kind == "basic":
            good, challenge = self._is_user(authorization), 'Basic realm="guard"'
        else:
            good = self._tokens.get(authorization.removeprefix("Bearer "), 0.0) > time.monotonic()
            realm = self.realm or f"http://{self.host}/token"
            challenge = f'Bearer realm="{realm}",service="guard"'
        if good:
            return None
        headers = {"WWW-Authenticate": challenge, "Docker-Distribution-API-Version": "registry/2.0"}
        return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401, headers=headers)

    def _is_user(self, authorization: str) -> bool:
        try:
            name, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
        except ValueError:
            return False
        return bool(name) and self.users.get(name) == password

    def _see(self, request: web.Request) -> None:
        self.seen.append((request.path, request.headers.get("Authorization", "")))
