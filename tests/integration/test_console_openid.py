"""Sign-in to the console at an OpenID provider that others wrote, and what is refused on the way back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from fakes.openid_provider import AUDIENCE, SECRET, Browser, OpenIdProvider, openid_provider
from fakes.signing_authority import SigningAuthority
from landscape.processes import free_port
from landscape.programs import Aggregator, aggregator


@dataclass
class House:
    server: Aggregator
    provider: OpenIdProvider

    @property
    def begin(self) -> str:
        """Return where a browser begins to sign in, to see the search for greeter afterwards."""
        begin = URL(self.server.url) / "console/sign-in/openid"
        return str(begin.with_query(issuer=self.provider.issuer, next="/console/search?q=greeter"))

    async def redirected(self, browser: Browser) -> URL:
        """Sign in at the provider; return the address that it sends the browser back to, not opened yet."""
        callback = f"{self.server.url}/console/sign-in/callback"
        return URL(await browser.open_slowly(self.begin, until=callback), encoded=True)


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    home: Path = tmp_path_factory.mktemp("console")
    secret = home / "console.secret"
    secret.write_text(SECRET)
    port = free_port()
    async with openid_provider(home) as provider:
        sign_in = provider.settings()
        sign_in["issuers"][0]["console"] = {
            "client_id": "whence-console", "client_secret_file": str(secret), "resource": AUDIENCE, "prompt": "consent",
        }  # fmt: skip
        async with aggregator(
            home, home, authority_pem={"eu-central-1": SigningAuthority.make().pem}, port=port, sign_in=sign_in,
            console={"url": f"http://127.0.0.1:{port}"},
        ) as server:  # fmt: skip
            yield House(server, provider)


async def test_a_person_signs_in_at_the_provider_and_is_sent_where_they_wanted_to_go(house: House) -> None:
    page = await Browser("ada").open_slowly(house.begin)
    assert ">ada</a>" in page


async def test_a_redirect_is_used_once(house: House) -> None:
    browser = Browser("ada")
    back = await house.redirected(browser)
    assert ">ada</a>" in await browser.open(str(back))
    assert "this browser has begun no sign-in" in await browser.open(str(back))


async def test_a_redirect_signs_in_no_other_browser(house: House) -> None:
    back = await house.redirected(Browser("mallory"))
    assert "this browser has begun no sign-in" in await Browser("ada").open(str(back))


@pytest.mark.parametrize(
    "changed, reason",
    [
        ({"state": "other"}, "the redirect belongs to another sign-in (state)"),
        ({"state": None}, "the redirect belongs to another sign-in (state)"),
        ({"code": None}, "the redirect has no code"),
        ({"code": "invented"}, "refuses the sign-in: invalid_grant"),
        ({"iss": "https://evil.example.org"}, "the redirect is from another issuer (iss)"),
        ({"error": "access_denied"}, "refuses the sign-in: access_denied"),
    ],
)
async def test_a_redirect_that_was_changed_signs_nobody_in(
    house: House, changed: dict[str, str | None], reason: str
) -> None:
    browser = Browser("ada")
    back = await house.redirected(browser)
    query = {**back.query, **changed}
    page = await browser.open(str(back.with_query({name: value for name, value in query.items() if value is not None})))
    assert "Not signed in: " in page
    assert reason in page
    assert "Sign in at" in await browser.open(f"{house.server.url}/console/")


async def test_another_site_cannot_end_a_session_by_beginning_a_sign_in(house: House) -> None:
    async with (
        aiohttp.ClientSession(headers={"Sec-Fetch-Site": "cross-site"}) as session,
        session.get(house.begin, allow_redirects=False) as answer,
    ):
        assert (answer.status, answer.headers["Location"]) == (303, "/console/sign-in")
        assert "Set-Cookie" not in answer.headers


async def test_an_issuer_that_is_not_configured_is_never_asked(house: House) -> None:
    begin = URL(f"{house.server.url}/console/sign-in/openid").with_query(issuer="http://127.0.0.1:1", next="")
    async with aiohttp.ClientSession() as session, session.get(begin, allow_redirects=False) as answer:
        assert answer.status == 400
        assert "the console does not sign people in at this issuer" in await answer.text()


async def test_a_sign_in_that_cannot_begin_ends_no_session(house: House) -> None:
    browser = Browser("ada")
    await browser.open_slowly(house.begin)
    begin = URL(f"{house.server.url}/console/sign-in/openid").with_query(issuer="http://127.0.0.1:1", next="")
    assert "does not sign people in at this issuer" in await browser.open(str(begin))
    assert ">ada</a>" in await browser.open(f"{house.server.url}/console/")


async def test_no_secret_of_a_sign_in_is_logged(house: House) -> None:
    browser = Browser("ada")
    back = await house.redirected(browser)
    await browser.open(str(back))
    log = "\n".join(path.read_text() for path in house.server.config.parent.parent.glob("*.log"))
    assert "listening" in log
    assert back.query["code"] not in log
    assert back.query["state"] not in log
    assert json.dumps(SECRET) not in log
