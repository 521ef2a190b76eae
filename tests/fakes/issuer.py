"""An OpenID Connect issuer of the suite: real keys over real HTTP, tokens as a test wants them, and bad manners.

It mints what no sound provider would: that is what hostile tokens are made of. A CI system's tokens come from it too.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

AUDIENCE = "https://whence.example.org"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()


def b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")


def public_jwk(key: Key, **members: object) -> dict[str, object]:
    """Return a public key as a JWK."""
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        found: dict[str, object] = {"kty": "RSA", "n": b64(_bytes(numbers.n)), "e": b64(_bytes(numbers.e))}
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        point = key.public_key().public_numbers()
        found = {"kty": "EC", "crv": "P-256", "x": b64(point.x.to_bytes(32)), "y": b64(point.y.to_bytes(32))}
    else:
        raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        found = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
    return {**found, **members}


def _bytes(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8)


def signed(header: bytes, payload: bytes, key: Key) -> str:
    """Sign these very bytes, whatever they are; the algorithm is the key's."""
    content = f"{b64(header)}.{b64(payload)}"
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(content.encode(), padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(content.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32) + s.to_bytes(32)
    else:
        signature = key.sign(content.encode())
    return f"{content}.{b64(signature)}"


def signed_by_secret(header: Mapping[str, object], payload: Mapping[str, object], secret: bytes) -> str:
    """Sign with HS256."""
    content = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(payload).encode())}"
    return f"{content}.{b64(hmac.digest(secret, content.encode(), hashlib.sha256))}"


@dataclass
class Issuer:
    """An issuer that runs. `keys` is what its set lists; `fetched` counts how often that was asked for."""

    url: str
    now: Callable[[], float]
    keys: list[object] = field(default_factory=lambda: [public_jwk(RSA_KEY, kid="one", use="sig", alg="RS256")])
    fetched: int = 0
    described: int = 0
    """How often its discovery document was asked for."""
    asked: list[str] = field(default_factory=list)
    """Paths that were asked for, beside discovery and keys."""
    named: str = ""
    """The issuer that its discovery document names; empty is itself."""
    jwks_uri: str = ""
    cache_control: str = "max-age=600"
    down: bool = False
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: requests for keys wait."""
    body: bytes | None = None
    """Instead of the set of keys."""
    redirect: str = ""
    tokens: dict[str, dict[str, object]] = field(default_factory=dict)
    """What introspection answers, by token."""
    introspection_status: int = 200
    introspected: int = 0

    def claims(self, **changes: object) -> dict[str, object]:
        """Return an access token's claims as RFC 9068 has them; a change to None leaves a claim out."""
        now = self.now()
        claims = {
            "iss": self.url, "sub": "ada-1", "aud": AUDIENCE, "client_id": "cli", "iat": now, "exp": now + 300,
            "jti": "j-1", "preferred_username": "ada", "groups": ["team-alpha"], **changes,
        }  # fmt: skip
        return {name: value for name, value in claims.items() if value is not None}

    def mint(self, *, key: Key = RSA_KEY, header: Mapping[str, object] | None = None, **changes: object) -> str:
        """Return a signed token."""
        head = {"alg": "RS256", "kid": "one", "typ": "at+jwt", **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        return signed(json.dumps(head).encode(), json.dumps(self.claims(**changes)).encode(), key)

    async def _discovery(self, request: web.Request) -> web.Response:
        self.described += 1
        if self.down:
            return web.Response(status=503)
        uri = self.jwks_uri or f"{self.url}/jwks"
        endpoints = {f"{name}_endpoint": f"{self.url}/{name}" for name in ("authorization", "token")}
        return web.json_response({"issuer": self.named or self.url, "jwks_uri": uri, **endpoints})

    async def _jwks(self, _: web.Request) -> web.Response:
        self.fetched += 1
        await self.answering.wait()
        if self.down:
            return web.Response(status=503)
        if self.redirect:
            return web.Response(status=302, headers={"Location": self.redirect})
        content = self.body if self.body is not None else json.dumps({"keys": self.keys}).encode()
        return web.Response(body=content, headers={"Cache-Control": self.cache_control})

    async def _introspect(self, request: web.Request) -> web.Response:
        self.introspected += 1
        form = await request.post()
        expected = "Basic " + base64.b64encode(b"whence:s3cret%2F").decode()
        if self.introspection_status != 200 or request.headers["Authorization"] != expected:
            status = self.introspection_status if self.introspection_status != 200 else 401
            return web.Response(status=status)
        return web.json_response(self.tokens.get(str(form["token"]), {"active": False}))

    async def _other(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        return web.Response(status=404)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/.well-known/openid-configuration", self._discovery),
            web.get("/jwks", self._jwks),
            web.post("/introspect", self._introspect),
            web.route("*", "/{path:.*}", self._other),
        ]


@asynccontextmanager
async def issuer(now: Callable[[], float]) -> AsyncIterator[Issuer]:
    """Run one on loopback for the block's duration."""
    found = Issuer(url="", now=now)
    found.answering.set()
    application = web.Application()
    application.add_routes(found.routes())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield found
    finally:
        found.answering.set()
        await runner.cleanup()


GITHUB_CLAIMS: Mapping[str, Any] = {
    "sub": "repo:hello/greeter:ref:refs/heads/main", "repository": "hello/greeter", "repository_id": "1001",
    "repository_owner": "hello", "repository_owner_id": "77", "ref": "refs/heads/main", "ref_type": "branch",
    "ref_protected": "true", "sha": "a" * 40, "event_name": "push", "run_id": "4711", "run_attempt": "1",
    "runner_environment": "github-hosted", "environment": "production", "actor": "ada",
    "job_workflow_ref": "hello/greeter/.github/workflows/release.yml@refs/heads/main",
}  # fmt: skip
"""A job of GitHub Actions, as GitHub documents its claims."""
