"""An issuer is asked for its endpoints once a minute, however many people begin to sign in to the console there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from fakes.clocks import CountingRandom, FakeClock
from fakes.in_process import LIMITLESS
from fakes.issuer import Issuer, issuer
from whence_aggregator.adapters.openid_client import OpenIdClient
from whence_aggregator.callers.browser_sessions import BrowserSessions
from whence_aggregator.callers.limits import Limit
from whence_aggregator.callers.sealing import Seal
from whence_aggregator.callers.sign_in import NOBODY, Authenticator
from whence_aggregator.http.console_answers import PublicAddress
from whence_aggregator.http.console_openid import ConsoleIssuer, ConsoleOpenId
from whence_aggregator.http.console_sign_in import ConsoleSignIn
from whence_aggregator.openid.metadata import SignInClient
from whence_aggregator.storage.sqlite import SqliteDatabase

ORIGIN = "http://127.0.0.1"
SECRETS = iter(range(10_000_000))


@dataclass
class House:
    """The console's part of a sign-in at an issuer. `seconds` is its clock."""

    issuer: Issuer
    url: URL
    seconds: list[float] = field(default_factory=lambda: [0.0])

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))

    async def begin(self) -> tuple[int, str]:
        """Begin a sign-in in a new browser; return the status, and where it is sent, or the page."""
        async with self._session() as browser:
            return await self._begun(browser)

    async def _begun(self, browser: aiohttp.ClientSession) -> tuple[int, str]:
        begin = (self.url / "console/sign-in/openid").with_query(issuer=self.issuer.url, next="/console/")
        async with browser.get(begin, allow_redirects=False) as answer:
            return answer.status, answer.headers.get("Location") or await answer.text()

    async def return_with(self, code: str) -> tuple[int, str]:
        """Sign in as far as the issuer's answer to a code; return the status and the page."""
        async with self._session() as browser:
            _, location = await self._begun(browser)
            back = (self.url / "console/sign-in/callback").with_query(code=code, state=URL(location).query["state"])
            async with browser.get(back, allow_redirects=False) as answer:
                return answer.status, await answer.text()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock, seconds = FakeClock(), [0.0]
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    async with issuer(lambda: clock().timestamp()) as people, aiohttp.ClientSession() as session:
        sessions = BrowserSessions(
            database=database, seal=Seal(b"s" * 32, purpose="console", random_bytes=CountingRandom()),
            seconds_max=3600.0, random_text=lambda size: f"secret-{next(SECRETS):0{size}}", now=clock,
        )  # fmt: skip
        sign_in = Authenticator(
            known={}, sources=NOBODY, sessions=None, attempts=Limit("address", LIMITLESS), now=clock
        )
        address = PublicAddress(origin=ORIGIN)
        client = SignInClient(issuer=people.url, client_id="whence-console", scopes=("openid",))
        exchange = OpenIdClient(session=session, issuer=people.url, client_id="whence-console", secret=None)
        openid = ConsoleOpenId(
            issuers={people.url: ConsoleIssuer(client=client, exchange=exchange)}, sign_in=sign_in, sessions=sessions,
            address=address, random_text=lambda size: f"random-{next(SECRETS):0{size}}", now=clock,
            pages=ConsoleSignIn(
                sign_in=sign_in, sessions=sessions, address=address, issuers=(people.url,), now=clock
            ),
            clock=lambda: seconds[0],
        )  # fmt: skip
        application = web.Application()
        application.add_routes(openid.routes())
        async with TestServer(application) as server:
            yield House(people, server.make_url("/"), seconds)
    await database.close()


async def test_sign_ins_within_a_minute_ask_the_issuer_once(house: House) -> None:
    together = await asyncio.gather(*(house.begin() for _ in range(30)))
    for second in range(1, 60):
        house.seconds[0] = float(second)
        together.append(await house.begin())
    assert {status for status, _ in together} == {303}
    assert all(location.startswith(f"{house.issuer.url}/authorization?") for _, location in together)
    assert len({URL(location).query["state"] for _, location in together}) == len(together) == 89
    assert house.issuer.described == 1


async def test_the_endpoints_are_read_again_after_a_minute(house: House) -> None:
    await house.begin()
    house.seconds[0] = 60.0
    await asyncio.gather(*(house.begin() for _ in range(10)))
    assert house.issuer.described == 2


async def test_the_return_from_the_issuer_reads_no_endpoints_again(house: House) -> None:
    status, page = await house.return_with("a-code")
    assert status >= 400
    assert "Not signed in" in page
    assert (house.issuer.asked, house.issuer.described) == (["/token"], 1)


async def test_a_failure_is_the_answer_to_all_for_a_second_and_then_the_issuer_is_asked_again(house: House) -> None:
    house.issuer.down = True
    refused = await asyncio.gather(*(house.begin() for _ in range(20)))
    house.seconds[0] = 0.9
    refused.append(await house.begin())
    assert all("Not signed in" in page and "has HTTP status 503" in page for _, page in refused)
    assert house.issuer.described == 1
    house.seconds[0] = 1.0
    assert "has HTTP status 503" in (await house.begin())[1]
    assert house.issuer.described == 2
    house.issuer.down = False
    house.seconds[0] = 2.0
    assert (await house.begin())[0] == 303
    house.seconds[0] = 61.9
    assert (await house.begin())[0] == 303
    assert house.issuer.described == 3


async def test_endpoints_that_are_too_old_are_not_used_when_the_issuer_is_unavailable(house: House) -> None:
    assert (await house.begin())[0] == 303
    house.issuer.down, house.seconds[0] = True, 60.0
    assert "has HTTP status 503" in (await house.begin())[1]
    house.issuer.down, house.issuer.named, house.seconds[0] = False, "https://evil.example.org", 61.0
    assert "states another issuer" in (await house.begin())[1]
    assert house.issuer.described == 3
