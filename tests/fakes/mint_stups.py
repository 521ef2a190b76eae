"""STUPS's API of service users as mint's worker knows it, and a token endpoint that judges what it made.

`passwords` and `clients` are all that are valid: a new one is added, a commit ends the others.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fakes.loopback import loopback
from whence_common.runtime.pause import pause

ProviderFault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]
"""Answers in the place of a provider; None: the provider acts and answers itself."""


@dataclass
class ServiceUser:
    """A service user. `passwords` and `clients` hold what is valid, by txid."""

    document: dict[str, Any]
    client_id: str
    passwords: dict[str, str] = field(default_factory=dict)
    clients: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass
class FakeStups:
    """`token` is the only one that may use the API. `faults` answer the next requests to it, oldest first."""

    token: str = "stups-token"
    verifying: tuple[str, str] = ("mint", "the-client-of-mint")
    """The client that uses the password grant."""
    users: dict[str, ServiceUser] = field(default_factory=dict)
    faults: list[ProviderFault] = field(default_factory=list)
    lost: int = 0
    """How many next answers are lost after it has acted."""
    lost_at: int = 0
    """The number of the request, from 1, whose answer is lost after it has acted; 0: none."""
    seconds: float = 0.0
    """How long each answer takes."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[FakeStups]:
        application = web.Application(middlewares=[self._front])
        application.router.add_put("/services/{username}", self._put)
        application.router.add_delete("/services/{username}", self._delete)
        application.router.add_post("/services/{username}/{kind:password|client}", self._make)
        application.router.add_put("/services/{username}/{kind:password|client}", self._commit)
        application.router.add_post("/access_token", self._access_token)
        async with loopback(application) as host:
            self.url = f"http://{host}"
            yield self

    @web.middleware
    async def _front(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.seconds:
            await pause(self.seconds)
        if request.path == "/access_token":
            return await handler(request)
        self.asked.append((request.method, request.path))
        if self.faults:
            answer = await self.faults.pop(0)(request)
            if answer is not None:
                return answer
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response({"error": "invalid_token"}, status=401)
        answer = await handler(request)
        is_lost = self.lost > 0 and request.method == "POST"
        self.lost -= is_lost
        if is_lost or len(self.asked) == self.lost_at:
            assert request.transport is not None
            request.transport.close()
        return answer

    async def _put(self, request: web.Request) -> web.Response:
        document = await request.json()
        username = request.match_info["username"]
        known = self.users.get(username)
        client_id = known.client_id if known is not None else f"stups_{username}_{secrets.token_hex(4)}"
        if known is None:
            self.users[username] = ServiceUser(document, client_id)
        else:
            known.document = document
        return web.json_response({"id": username, "client_id": client_id}, status=200 if known else 201)

    async def _delete(self, request: web.Request) -> web.Response:
        gone = self.users.pop(request.match_info["username"], None) is None
        return web.json_response({"error": "not found"}, status=404) if gone else web.Response(status=200)

    async def _make(self, request: web.Request) -> web.Response:
        user = self.users.get(request.match_info["username"])
        if user is None:
            return web.json_response({"error": "not found"}, status=404)
        body, txid = await request.json(), secrets.token_hex(8)
        if request.match_info["kind"] == "password":
            password = user.passwords[txid] = secrets.token_urlsafe(24)
            return web.json_response({"password": password, "txid": txid})
        assert body == {"id": request.match_info["username"], "client_id": body["client_id"]}
        client_id, secret = f"stups_{request.match_info['username']}_{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        user.clients[txid] = (client_id, secret)
        return web.json_response({"client_id": client_id, "client_secret": secret, "txid": txid})

    async def _commit(self, request: web.Request) -> web.Response:
        user = self.users.get(request.match_info["username"])
        txid = (await request.json())["txid"]
        held: dict[str, Any] = {}
        if user is not None:
            held = user.passwords if request.match_info["kind"] == "password" else user.clients
        if txid not in held:
            return web.json_response({"error": "not found"}, status=404)
        for other in [one for one in held if one != txid]:
            del held[other]
        return web.Response(status=200)

    async def _access_token(self, request: web.Request) -> web.Response:
        form = await request.post()
        scheme, _, told = request.headers.get("Authorization", "").partition(" ")
        client_id, _, secret = base64.b64decode(told).decode().partition(":") if scheme == "Basic" else ("", "", "")
        owner = self.users.get(client_id.removeprefix("stups_").rpartition("_")[0])
        clients = {self.verifying, *(owner.clients.values() if owner is not None else ())}
        if (client_id, secret) not in clients:
            return web.json_response({"error": "invalid_client"}, status=401)
        user = self.users.get(str(form.get("username", "")))
        password_is_valid = user is not None and str(form.get("password", "")) in user.passwords.values()
        if form.get("grant_type") == "password" and not password_is_valid:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return web.json_response({"access_token": secrets.token_hex(8), "token_type": "Bearer", "expires_in": 3600})
