"""A token server as the distribution project describes it: Docker Hub's shape. The real registry verifies its tokens.

Source: distribution's "Token authentication specification", "Token authentication implementation" and "Oauth2 token
authentication": GET with Basic or nothing, POST with a form, a JWT with `access` that names what is granted.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from fakes.loopback import loopback

SERVICE, ISSUER = "registry.test", "issuer.test"


@dataclass
class TokenServer:
    """`users` may do all; nobody may pull what is below `public/`. `asked` holds (method, user, scopes) of each call."""

    certificate: Path
    key: Path
    users: dict[str, str] = field(default_factory=lambda: {"robot": "hunter2hunter2"})
    identity_tokens: set[str] = field(default_factory=lambda: {"hunter2-identity"})
    field_name: str = "token"
    expires_in: int = 300
    asked: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    host: str = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[TokenServer]:
        """Serve on a loopback port for the block's duration; `host` says which."""
        application = web.Application()
        application.router.add_get("/token", self._get)
        application.router.add_post("/token", self._post)
        async with loopback(application) as host:
            self.host = host
            yield self

    @property
    def realm(self) -> str:
        return f"http://{self.host}/token"

    async def _get(self, request: web.Request) -> web.Response:
        scopes = tuple(request.query.getall("scope", []))
        authorization = request.headers.get("Authorization", "")
        user = ""
        if authorization:
            name, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
            user = name if self.users.get(name) == password else ""
        self.asked.append(("GET", user, scopes))
        if authorization and not user:
            return web.json_response({"details": "incorrect username or password"}, status=401)
        return self._granted(request.query.get("service", ""), user, scopes)

    async def _post(self, request: web.Request) -> web.Response:
        form = await request.post()
        scopes = tuple(str(form.get("scope", "")).split(" "))
        good = form.get("grant_type") == "refresh_token" and form.get("refresh_token") in self.identity_tokens
        assert form.get("client_id"), "client_id is required"
        self.asked.append(("POST", "robot" if good else "", scopes))
        if not good:
            return web.json_response({"error": "invalid_grant"}, status=400)
        return self._granted(str(form.get("service", "")), "robot", scopes)

    def _granted(self, service: str, user: str, scopes: tuple[str, ...]) -> web.Response:
        access: list[dict[str, Any]] = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            wanted = actions.split(",")
            granted = wanted if user else [one for one in wanted if one == "pull" and name.startswith("public/")]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {
            "iss": ISSUER, "sub": user, "aud": service, "exp": now + 600, "nbf": now - 10, "iat": now,
            "jti": secrets.token_hex(8), "access": access,
        }  # fmt: skip
        return web.json_response({self.field_name: self._jwt(claims), "expires_in": self.expires_in})

    def _jwt(self, claims: dict[str, Any]) -> str:
        certificate = x509.load_pem_x509_certificate(self.certificate.read_bytes())
        chain = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode("ascii")]
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        parts = [{"typ": "JWT", "alg": "RS256", "x5c": chain}, claims]
        signed = b".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in parts)
        signature = base64.urlsafe_b64encode(key.sign(signed, padding.PKCS1v15(), hashes.SHA256())).rstrip(b"=")
        return (signed + b"." + signature).decode("ascii")
