"""GitHub's endpoints for Apps, held to their description: a JWT of at most ten minutes, an installation's token.

Source: GitHub's REST API, "Authenticating as a GitHub App", "Create an installation access token for an app".
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fakes.loopback import loopback


@dataclass
class GithubApi:
    """One App, installed for the owners in `installations`. `tokens` are those that were given."""

    app_id: str
    key: rsa.RSAPublicKey
    now: Callable[[], datetime]
    installations: dict[str, int]
    permissions: tuple[str, ...] = ("contents",)
    """What the App may read; a token with any other permission is refused."""
    tokens: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[GithubApi]:
        """Serve on a loopback port for the block's duration; `url` says which."""
        application = web.Application()
        application.router.add_get("/repos/{owner}/{name}/installation", self._installation)
        application.router.add_post("/app/installations/{number}/access_tokens", self._token)
        async with loopback(application) as host:
            self.url = f"http://{host}"
            yield self

    async def _installation(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if not self._is_app(request):
            return web.json_response({"message": "A JSON web token could not be decoded"}, status=401)
        number = self.installations.get(request.match_info["owner"])
        if number is None:
            return web.json_response({"message": "Not Found"}, status=404)
        return web.json_response({"id": number, "app_id": self.app_id})

    async def _token(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if not self._is_app(request):
            return web.json_response({"message": "A JSON web token could not be decoded"}, status=401)
        if int(request.match_info["number"]) not in self.installations.values():
            return web.json_response({"message": "Not Found"}, status=404)
        wanted = (await request.json())["permissions"]
        if not wanted.keys() <= set(self.permissions) or set(wanted.values()) != {"read"}:
            message = "The permissions requested are not granted to this installation."
            return web.json_response({"message": message}, status=422)
        token = "ghs_" + secrets.token_hex(18)
        self.tokens.append(token)
        ends = (self.now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return web.json_response({"token": token, "expires_at": ends, "permissions": wanted}, status=201)

    def _is_app(self, request: web.Request) -> bool:
        scheme, _, jwt = request.headers["Authorization"].partition(" ")
        assert (scheme, request.headers["Accept"]) == ("Bearer", "application/vnd.github+json")
        head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in jwt.split("."))
        try:
            self.key.verify(signature, jwt.rpartition(".")[0].encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        said, now = json.loads(claims), self.now().timestamp()
        lives = said["iat"] <= now < said["exp"] <= now + 600
        return bool(json.loads(head)["alg"] == "RS256" and said["iss"] == self.app_id and lives)
