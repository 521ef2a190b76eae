"""Keycloak's admin API and token endpoint for one realm, as far as mint uses them, with its policy for two secrets.

Its own client (npm @keycloak/keycloak-admin-client) drives it unmodified. Source: Keycloak 26, ClientResource,
ClientSecretRotationExecutor and ClientIdAndSecretAuthenticator.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import web

from fakes.loopback import loopback
from fakes.mint_stups import ProviderFault

REALM = "suite"
ADMIN = ("whence-mint", "the-secret-of-mint")
ROTATED = "client.secret.rotated"
DEFAULT_SCOPES = ("profile", "email", "roles")
PERIODS = {"expiration-period": 90 * 86_400, "rotated-expiration-period": 2 * 86_400}


def profiles_of(**periods: Any) -> dict[str, Any]:
    """Return client profiles with the executor for two secrets."""
    configuration = PERIODS | {name.replace("_", "-"): value for name, value in periods.items()}
    executor = {"executor": "secret-rotation", "configuration": configuration}
    return {"profiles": [{"name": "two-secrets", "executors": [executor]}]}


def policies_of(condition: str = "any-client", *, enabled: bool = True, **configuration: Any) -> dict[str, Any]:
    """Return client policies that apply that profile."""
    conditions = [{"condition": condition, "configuration": configuration}] if condition else []
    policy = {"name": "rotation", "enabled": enabled, "conditions": conditions, "profiles": ["two-secrets"]}
    return {"policies": [policy]}


@dataclass
class FakeKeycloak:
    """`faults` answer the next requests to the admin API, oldest first."""

    profiles: dict[str, Any] = field(default_factory=lambda: {"profiles": []})
    policies: dict[str, Any] = field(default_factory=lambda: {"policies": []})
    rotation_is_on: bool = True
    """Whether the feature client-secret-rotation is on; the policy stays when it is switched off."""
    rotated_until: int = 2**31
    """When rotated secrets end, in seconds since 1970; it is stated, and nothing ends by itself."""
    clients: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Representations by `id`."""
    scopes: dict[str, str] = field(default_factory=dict)
    """Names of client scopes by their ids."""
    optional: dict[str, set[str]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    faults: list[ProviderFault] = field(default_factory=list)
    lost: int = 0
    """How many next answers to POST are lost after it has acted."""
    lost_at: int = 0
    """The number of the request, from 1, whose answer is lost after it has acted; 0: none."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        for client_id, secret in ((ADMIN[0], ADMIN[1]), ("realm-management", "of-keycloak-itself")):
            self._add({"clientId": client_id, "secret": secret, "serviceAccountsEnabled": True})
        for name in (*DEFAULT_SCOPES, "offline_access"):
            self.scopes[str(uuid.uuid4())] = name

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[FakeKeycloak]:
        application = web.Application(middlewares=[self._front])
        # A slash at the end of a path makes no difference to Keycloak, whose own client sends some.
        base, one = f"/admin/realms/{REALM}", f"/admin/realms/{REALM}/clients/{{id}}"
        application.add_routes([
            web.post(f"/realms/{REALM}/protocol/openid-connect/token", self._token),
            web.get(f"{base}/clients{{_:/?}}", self._find), web.post(f"{base}/clients{{_:/?}}", self._create),
            web.get(one, self._get), web.put(one, self._put), web.delete(one, self._delete),
            web.get(f"{one}/client-secret", self._secret), web.post(f"{one}/client-secret", self._regenerate),
            web.get(f"{one}/client-secret/rotated", self._rotated),
            web.delete(f"{one}/client-secret/rotated", self._end_rotated),
            web.get(f"{one}/optional-client-scopes", self._optional),
            web.put(f"{one}/optional-client-scopes/{{scope}}", self._set_optional),
            web.delete(f"{one}/optional-client-scopes/{{scope}}", self._set_optional),
            web.get(f"{base}/client-scopes{{_:/?}}", self._scopes),
            web.post(f"{base}/client-scopes{{_:/?}}", self._create_scope),
            web.route("*", f"{base}/client-policies/{{kind:profiles|policies}}", self._client_policies),
        ])  # fmt: skip
        async with loopback(application) as host:
            self.url = f"http://{host}"
            yield self

    def client(self, client_id: str) -> dict[str, Any] | None:
        return next((one for one in self.clients.values() if one["clientId"] == client_id), None)

    def optional_scopes(self, client_id: str) -> set[str]:
        client = self.client(client_id)
        assert client is not None
        return {self.scopes[one] for one in self.optional[client["id"]]}

    def add_scope(self, name: str) -> None:
        self.scopes[str(uuid.uuid4())] = name

    def _add(self, given: dict[str, Any]) -> dict[str, Any]:
        number = str(uuid.uuid4())
        client = {
            "id": number, "enabled": True, "publicClient": False, "protocol": "openid-connect", "attributes": {},
            "redirectUris": [], "clientAuthenticatorType": "client-secret", "serviceAccountsEnabled": False,
            "standardFlowEnabled": True, "implicitFlowEnabled": False, "directAccessGrantsEnabled": False, **given,
        }  # fmt: skip
        client.setdefault("secret", secrets.token_urlsafe(24))
        self.clients[number] = client
        self.optional[number] = {one for one, name in self.scopes.items() if name == "offline_access"}
        return client

    @property
    def _two_secrets(self) -> bool:
        profiles = {one["name"]: one for one in self.profiles["profiles"]}
        return self.rotation_is_on and any(
            executor["executor"] == "secret-rotation"
            for policy in self.policies["policies"]
            if policy.get("enabled") and policy.get("conditions")
            for name in policy["profiles"]
            for executor in profiles.get(name, {}).get("executors", [])
        )

    @web.middleware
    async def _front(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not request.path.startswith("/admin/"):
            return await handler(request)
        self.asked.append((request.method, request.path))
        if self.faults:
            answer = await self.faults.pop(0)(request)
            if answer is not None:
                return answer
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return web.json_response({"error": "HTTP 401 Unauthorized"}, status=401)
        if "id" in request.match_info and request.match_info["id"] not in self.clients:
            return web.json_response({"error": "Could not find client"}, status=404)
        answer = await handler(request)
        is_lost = self.lost > 0 and request.method == "POST"
        self.lost -= is_lost
        if is_lost or len(self.asked) == self.lost_at:
            assert request.transport is not None
            request.transport.close()
        return answer

    def _of(self, request: web.Request) -> dict[str, Any]:
        return self.clients[request.match_info["id"]]

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        scheme, _, told = request.headers.get("Authorization", "").partition(" ")
        pair = base64.b64decode(told).decode().partition(":") if scheme == "Basic" else ("", "", "")
        client_id, secret = (unquote_plus(one) for one in (pair[0], pair[2]))
        client = self.client(client_id)
        if client is None or not client["enabled"] or secret not in self._valid(client):
            error = {
                "error": "unauthorized_client",
                "error_description": "Invalid client or Invalid client credentials",
            }
            return web.json_response(error, status=401)
        if form.get("grant_type") != "client_credentials" or not client["serviceAccountsEnabled"]:
            return web.json_response({"error": "unauthorized_client"}, status=400)
        token = _token(client_id)
        if client_id == ADMIN[0]:
            self.tokens.add(token)
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 300})

    def _valid(self, client: dict[str, Any]) -> set[str]:
        rotated = client["attributes"].get(ROTATED)
        return {client["secret"]} | ({rotated} if rotated and self.rotation_is_on else set())

    async def _find(self, request: web.Request) -> web.Response:
        wanted = request.query.get("clientId")
        return web.json_response([one for one in self.clients.values() if wanted in (None, one["clientId"])])

    async def _create(self, request: web.Request) -> web.Response:
        given = await request.json()
        if self.client(given["clientId"]) is not None:
            return web.json_response({"errorMessage": "Client already exists"}, status=409)
        client = self._add(given)
        where = f"{self.url}/admin/realms/{REALM}/clients/{client['id']}"
        return web.Response(status=201, headers={"Location": where})

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(self._of(request))

    async def _put(self, request: web.Request) -> web.Response:
        client, given = self._of(request), await request.json()
        attributes = client["attributes"] | given.pop("attributes", {})
        client.update({name: value for name, value in given.items() if value is not None} | {"attributes": attributes})
        if not self._two_secrets:
            client["attributes"].pop(ROTATED, None)
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        del self.clients[request.match_info["id"]]
        return web.Response(status=204)

    async def _secret(self, request: web.Request) -> web.Response:
        return web.json_response({"type": "secret", "value": self._of(request)["secret"]})

    async def _regenerate(self, request: web.Request) -> web.Response:
        client = self._of(request)
        if self._two_secrets:
            client["attributes"] |= {ROTATED: client["secret"], f"{ROTATED}.expiration.time": str(self.rotated_until)}
        else:
            client["attributes"].pop(ROTATED, None)
        client["secret"] = secrets.token_urlsafe(24)
        return await self._secret(request)

    async def _rotated(self, request: web.Request) -> web.Response:
        rotated = self._of(request)["attributes"].get(ROTATED)
        if rotated is None:
            return web.json_response({"error": "Client does not have a rotated secret"}, status=404)
        return web.json_response({"type": "secret", "value": rotated})

    async def _end_rotated(self, request: web.Request) -> web.Response:
        self._of(request)["attributes"].pop(ROTATED, None)
        return web.Response(status=204)

    async def _optional(self, request: web.Request) -> web.Response:
        held = sorted(self.optional[request.match_info["id"]])
        return web.json_response([{"id": one, "name": self.scopes[one]} for one in held])

    async def _set_optional(self, request: web.Request) -> web.Response:
        scope, held = request.match_info["scope"], self.optional[request.match_info["id"]]
        if scope not in self.scopes:
            return web.json_response({"error": "Client scope not found"}, status=404)
        if request.method == "PUT":
            held.add(scope)
        else:
            held.discard(scope)
        return web.Response(status=204)

    async def _scopes(self, request: web.Request) -> web.Response:
        return web.json_response([{"id": one, "name": name} for one, name in self.scopes.items()])

    async def _create_scope(self, request: web.Request) -> web.Response:
        number = str(uuid.uuid4())
        self.scopes[number] = (await request.json())["name"]
        where = f"{self.url}/admin/realms/{REALM}/client-scopes/{number}"
        return web.Response(status=201, headers={"Location": where})

    async def _client_policies(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        if request.method == "PUT":
            setattr(self, kind, await request.json())
            return web.Response(status=204)
        return web.json_response(getattr(self, kind))


def _token(client_id: str) -> str:
    """Return a token as a JWT, whose claims Keycloak's own client reads; its signature is none."""
    claims = {"jti": secrets.token_hex(16), "azp": client_id, "iat": int(time.time()), "exp": int(time.time()) + 300}
    parts = [json.dumps(one).encode() for one in ({"alg": "RS256", "typ": "JWT"}, claims)]
    return ".".join(base64.urlsafe_b64encode(one).rstrip(b"=").decode() for one in (*parts, b"signature"))
