"""STUPS's authorization server over real HTTP: what zign, the token library and tokeninfo's clients request of it.

Sources: zign 1.2.2 and tokens 1.1.19 (their requests), and STUPS's tokeninfo (its responses). Like the original, it
returns every scope also as a member, echoes the token, and states no audience.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from fakes.issuer import RSA_KEY, signed
from fakes.loopback import loopback

CLIENT, PARTNER = "stups-cli", "partner-1"
_REDIRECTS = re.compile(r"http://localhost:(8[01][0-9]{2})")
_SECONDS = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whom a token was issued to."""

    uid: str
    realm: str
    scopes: tuple[str, ...]
    client: str


@dataclass
class AuthorizationServer:
    """A running server. `signed_in` is the user whose session the browser has; empty if it has none.

    `services` are passwords by user, `members` are teams by user, and `calls` lists each call as method and path.
    """

    url: str = ""
    signed_in: str = "ada"
    services: dict[str, str] = field(default_factory=lambda: {"stups_robot": "hunter2hunter2"})
    clients: dict[str, str] = field(default_factory=lambda: {"robot-client": "s3cret"})
    members: dict[str, set[str]] = field(default_factory=lambda: {"ada": {"alpha"}, "stups_robot": {"alpha"}})
    owners: dict[str, Owner] = field(default_factory=dict)
    refreshes: dict[str, Owner] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    in_urls: list[str] = field(default_factory=list)
    """Tokens that clients sent in a URL."""

    @property
    def authorize_url(self) -> str:
        return f"{self.url}/oauth2/authorize"

    @property
    def token_url(self) -> str:
        return f"{self.url}/oauth2/access_token"

    @property
    def tokeninfo_url(self) -> str:
        return f"{self.url}/oauth2/tokeninfo"

    def revoke(self) -> None:
        """Revoke every access token."""
        self.owners.clear()

    def _issue(self, owner: Owner, *, renewable: bool) -> dict[str, Any]:
        """Return the members of a token response. The token is signed by a key that only this server knows."""
        number = len(self.calls)
        claims = {"iss": self.url, "sub": owner.uid, "realm": owner.realm, "scope": owner.scopes, "jti": number}
        token = signed(b'{"alg":"RS256","kid":"stups"}', json.dumps(claims).encode(), RSA_KEY)
        self.owners[token] = owner
        found: dict[str, Any] = {"access_token": token, "token_type": "Bearer", "expires_in": _SECONDS}
        if renewable:
            found["refresh_token"] = f"refresh-{number}"
            self.refreshes[found["refresh_token"]] = owner
        return found

    async def authorize(self, request: web.Request) -> web.Response:
        """The implicit flow: redirect with the token in the fragment. A wrong redirect URI is never redirected to."""
        self.calls.append(("GET", "authorize"))
        asked = request.query
        redirect = asked.get("redirect_uri", "")
        if asked.get("client_id") != CLIENT or not _REDIRECTS.fullmatch(redirect):
            return web.Response(status=400, text="unknown client or redirect_uri")
        if asked.get("response_type") != "token" or asked.get("business_partner_id") != PARTNER or not self.signed_in:
            return _redirected(redirect, {"error": "access_denied"})
        owner = Owner(uid=self.signed_in, realm="/employees", scopes=("uid",), client=CLIENT)
        return _redirected(redirect, {**self._issue(owner, renewable=True), "scope": "uid"})

    async def token(self, request: web.Request) -> web.Response:
        """The grants `refresh_token`, whose tokens are used once, and `password`."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        grant = form.get("grant_type", "")
        self.calls.append(("POST", grant))
        if grant == "refresh_token":
            owner = self.refreshes.pop(form.get("refresh_token", ""), None)
            if owner is None or form.get("client_id") != CLIENT or form.get("business_partner_id") != PARTNER:
                return web.json_response({"error": "invalid_grant"}, status=400)
            return web.json_response(self._issue(owner, renewable=True))
        if grant != "password":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        client = next((name for name, secret in self.clients.items()
                       if request.headers.get("Authorization") == _basic(name, secret)), None)  # fmt: skip
        if client is None:
            return web.json_response({"error": "invalid_client"}, status=401)
        user = form.get("username", "")
        if user not in self.services or self.services[user] != form.get("password"):
            return web.json_response({"error": "invalid_grant"}, status=400)
        owner = Owner(uid=user, realm="/services", scopes=tuple(form.get("scope", "").split()), client=client)
        return web.json_response(self._issue(owner, renewable=False))

    async def tokeninfo(self, request: web.Request) -> web.Response:
        self.calls.append(("GET", "tokeninfo"))
        in_url = request.query.get("access_token", "")
        self.in_urls += [in_url] if in_url else []
        token = in_url or request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not token:
            return web.json_response({"error": "invalid_request"}, status=400)
        owner = self.owners.get(token)
        if owner is None:
            return web.json_response({"error": "invalid_token"}, status=401)
        stated = {
            "access_token": token, "uid": owner.uid, "grant_type": "password", "scope": list(owner.scopes),
            "realm": owner.realm, "token_type": "Bearer", "expires_in": _SECONDS, "client_id": owner.client,
        }  # fmt: skip
        return web.json_response({**dict.fromkeys(owner.scopes, True), **stated})

    async def auth(self, request: web.Request) -> web.Response:
        """The team service's check of a team: 200 allows."""
        owner = self.owners.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        team = (await request.json())["payload"]["team"]
        allowed = owner is not None and team in self.members.get(owner.uid, set())
        return web.Response(status=200 if allowed else 403)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/oauth2/authorize", self.authorize),
            web.post("/oauth2/access_token", self.token),
            web.get("/oauth2/tokeninfo", self.tokeninfo),
            web.get("/auth", self.auth),
        ]


@asynccontextmanager
async def authorization_server() -> AsyncIterator[AuthorizationServer]:
    """Serve on a loopback port for the block's duration."""
    found = AuthorizationServer()
    application = web.Application()
    application.add_routes(found.routes())
    async with loopback(application, shutdown_seconds=0.1) as host:
        found.url = f"http://{host}"
        yield found


def _redirected(redirect: str, members: dict[str, Any]) -> web.Response:
    return web.Response(status=302, headers={"Location": f"{redirect}#{urlencode(members)}"})


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
