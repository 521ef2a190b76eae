"""The real server in this process, with sign-in wired from settings, an issuer and a CI system of the suite, and a clock."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from fakes.clocks import FakeClock
from fakes.issuer import AUDIENCE, GITHUB_CLAIMS, Issuer, issuer
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.known import Callers
from whence_aggregator.callers.tokens import CallerToken, token_hash
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import read_body, respond_json
from whence_aggregator.http.server import Server
from whence_aggregator.http.sign_in import SignInCalls
from whence_aggregator.settings.server import Settings, parse_settings
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.parts import new_session
from whence_aggregator.wiring.sign_in import SigningIn, load_sign_in

RULE = {
    "team": "alpha", "project_id": "1001", "refs": ["refs/heads/main", "refs/tags/v*"], "environments": ["production"],
    "runners": ["github-hosted"],
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def said(self) -> tuple[int, str]:
        """Status and code; empty for no error."""
        return self.status, self.body.get("code", "") if isinstance(self.body, dict) else ""


@dataclass
class SignInHouse:
    """`issuer` is the people's, `ci` a GitHub; `read` counts bodies that the server read."""

    clock: FakeClock
    issuer: Issuer
    ci: Issuer
    callers: Callers
    signing_in: SigningIn
    session: aiohttp.ClientSession
    url: str
    read: int = 0
    jobs: int = 0
    seconds: list[float] = field(default_factory=lambda: [0.0])

    def advance(self, seconds: float) -> None:
        """Move both clocks."""
        self.clock.advance(seconds)
        self.seconds[0] += seconds

    def job(self, **changes: Any) -> str:
        """Return a token of a job on GitHub."""
        self.jobs += 1
        claims: dict[str, Any] = {
            **GITHUB_CLAIMS,
            "jti": f"job-{self.jobs}",
            "client_id": None,
            "groups": None,
            **changes,
        }
        return self.ci.mint(header={"typ": "JWT"}, **claims)

    async def ask(
        self, token: str | None, path: str = "/v1/whoami", *, method: str = "GET", body: bytes | None = None,
        scheme: str = "Bearer", headers: Mapping[str, str] | None = None,
    ) -> Heard:  # fmt: skip
        shown = {"Authorization": f"{scheme} {token}"} if token is not None else {}
        async with self.session.request(
            method, self.url + path, headers={**shown, **(headers or {})}, data=body
        ) as answer:
            content = await answer.read()
            is_json = "json" in answer.content_type
            return Heard(answer.status, json.loads(content) if is_json else content, answer.headers.copy())

    async def refused(self, token: str | None) -> tuple[int, str]:
        """Present a token; return status and code."""
        return (await self.ask(token)).said

    async def whoami(self, token: str) -> dict[str, Any]:
        heard = await self.ask(token)
        assert heard.status == 200, heard.body
        found: dict[str, Any] = heard.body
        return found

    async def exchange(self, token: str, **changes: str) -> Heard:
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", **changes,
        }  # fmt: skip
        async with self.session.post(f"{self.url}/v1/token", data=form) as answer:
            return Heard(answer.status, await answer.json(content_type=None), answer.headers.copy())

    def know(self, name: str, token: str) -> None:
        """Have a token of the file."""
        known = CallerToken(hash=token_hash(token), caller=Caller(name=name, teams=frozenset({"alpha"})))
        self.callers.replace({known.hash: known})

    async def _thing(self, request: web.Request) -> web.StreamResponse:
        content = await read_body(request, 1 << 20)
        self.read += len(content)
        return respond_json({"name": request[CALLER].name})


def settings_of(directory: Path, people: Issuer, ci: Issuer, **changes: object) -> Settings:
    """Return settings as an operator writes them."""
    organisation = changes.pop("organisation", None)
    (directory / "client.secret").write_text("s3cret/\n")
    rights = [
        {"right": "read", "claim": "preferred_username", "values": ["ada", "bob"]},
        {"right": "audit", "claim": "roles", "values": ["auditors"]},
        {"right": "operate", "claim": "realm_access.roles", "values": ["operators"]},
    ]  # fmt: skip
    claims = {"uid": "preferred_username", "groups": "groups", "group_prefix": "team-", "rights": rights}
    sign_in = {
        "issuers": [{"issuer": people.url, "audiences": [AUDIENCE], "claims": claims,
                     "algorithms": ["RS256", "ES256", "EdDSA"]}],
        "workloads": [{"issuer": ci.url, "provider": "github", "audiences": [AUDIENCE], "rules": [RULE],
                       "source_server": "https://github.com"}],
        **changes,
    }  # fmt: skip
    document = {
        "audience": AUDIENCE, "accounts": ["123456789012"], "sign_in": sign_in,
        "heartbeat_secret_file": str(directory / "heartbeat.secret"),
        "limits": {"sign_in_attempts_per_address": 1000.0}, "organisation": organisation,
    }  # fmt: skip
    return parse_settings(json.dumps(document).encode(), name="aggregator.yaml")


@asynccontextmanager
async def sign_in_house(directory: Path, **changes: object) -> AsyncIterator[SignInHouse]:
    """Run everything for the block's duration; `changes` are of `sign_in`, with `{issuer}` for the issuer's URL, and `organisation`."""
    clock = FakeClock()
    seconds = [0.0]
    async with AsyncExitStack() as stack:
        people = await stack.enter_async_context(issuer(lambda: clock().timestamp()))
        ci = await stack.enter_async_context(issuer(lambda: clock().timestamp()))
        wanted = json.loads(json.dumps(changes).replace("{issuer}", people.url).replace("{directory}", str(directory)))
        settings = settings_of(directory, people, ci, **wanted)
        database = await SqliteDatabase.open(directory / "ledger.db")
        stack.push_async_callback(database.close)
        callers = Callers({}, now=clock)
        session = await stack.enter_async_context(new_session())
        signing_in = load_sign_in(
            settings, database, callers, session, LiveLimits(settings.limits), stack, now=clock,
            clock=lambda: seconds[0],
        )  # fmt: skip
        house = SignInHouse(clock, people, ci, callers, signing_in, session, "", seconds=seconds)
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        server = Server(
            routes=[*SignInCalls(signing_in.sign_in, signing_in.command_clients).routes(), web.post("/v1/thing", house._thing)],
            sign_in=signing_in.sign_in, address="127.0.0.1", port=0, tls=None, listening=listening.set_result,
        )  # fmt: skip
        running = asyncio.create_task(server.run())
        try:
            house.url = f"http://127.0.0.1:{await listening}"
            yield house
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


class Logged(logging.Handler):
    """Keeps all that is logged, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {record.__dict__}")
