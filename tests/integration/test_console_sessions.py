"""Sessions of the console: begun by a token, bound to a browser and to its forms, and ended for good."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from fakes.signing_authority import SigningAuthority
from landscape.processes import free_port
from landscape.programs import Aggregator, aggregator


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aggregator]:
    home: Path = tmp_path_factory.mktemp("console")
    port = free_port()
    async with aggregator(
        home,
        home,
        authority_pem={"eu-central-1": SigningAuthority.make().pem},
        port=port,
        console={"url": f"http://127.0.0.1:{port}"},
    ) as one:
        yield one


@pytest.fixture
async def browser(server: Aggregator) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)  # of an address, not of a name
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Accept": "text/html"}) as session:
        yield session


async def _sign_in(server: Aggregator, browser: aiohttp.ClientSession, after: str = "/console/") -> str:
    """Sign in; return the address that the browser is sent to."""
    form = {"token": server.token, "next": after}
    async with browser.post(
        "/console/sign-in", data=form, headers={"Origin": server.url}, allow_redirects=False
    ) as answer:
        assert answer.status == 303
        return answer.headers["Location"]


async def _csrf(browser: aiohttp.ClientSession) -> str:
    async with browser.get("/console/") as answer:
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', await answer.text())
    assert found is not None
    return found[1]


async def _status_with(server: Aggregator, held: str) -> int:
    """Return the status of the overview for a browser that holds a secret."""
    async with (
        aiohttp.ClientSession(server.url, headers={"Cookie": f"whence={held}"}) as session,
        session.get("/console/", allow_redirects=False) as answer,
    ):
        return answer.status


async def test_a_browser_without_session_is_sent_to_sign_in_and_back(
    server: Aggregator, browser: aiohttp.ClientSession
) -> None:
    async with browser.get("/console/search?q=greeter", allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == "/console/sign-in?next=/console/search?q%3Dgreeter"
    assert await _sign_in(server, browser, "/console/search?q=greeter") == "/console/search?q=greeter"


async def test_a_page_names_who_is_signed_in(server: Aggregator, browser: aiohttp.ClientSession) -> None:
    await _sign_in(server, browser)
    async with browser.get("/") as answer:
        assert (answer.status, answer.url.path) == (200, "/console/")
        assert ">demo</a>" in await answer.text()
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
        assert answer.headers["X-Frame-Options"] == "DENY"


async def test_a_program_at_the_root_is_answered_as_before(server: Aggregator, browser: aiohttp.ClientSession) -> None:
    async with browser.get("/", headers={"Accept": "*/*"}, allow_redirects=False) as answer:
        assert answer.status == 200
        assert "entries in the ledger" in await answer.text()


@pytest.mark.parametrize(
    "after",
    [
        "https://evil.example.org/",
        "//evil.example.org/console/",
        "/\\evil.example.org",
        "/console//evil",
        "/v1/trace",
        "/console/../v1/whoami",
        "/console/%2e%2e/%2e%2e/v1",
        "/console/./x",
        "/console/x/.%2E/y",
    ],
)
async def test_nobody_is_sent_to_another_site_after_sign_in(
    server: Aggregator, browser: aiohttp.ClientSession, after: str
) -> None:
    assert await _sign_in(server, browser, after) == "/console/"


async def test_a_wrong_token_is_refused_and_not_repeated_in_the_page(
    server: Aggregator, browser: aiohttp.ClientSession
) -> None:
    form = {"token": "wrong-token-123456", "next": "/console/"}
    async with browser.post("/console/sign-in", data=form, headers={"Origin": server.url}) as answer:
        text = await answer.text()
        assert answer.status == 401
        assert "Not signed in: the bearer token is missing, unknown or expired" in text
        assert "open the link that `whence console` prints" in text
        assert "WHENCE_TOKEN" not in text
        assert "wrong-token-123456" not in text
        assert "Set-Cookie" not in answer.headers


async def test_another_site_cannot_sign_a_browser_in(server: Aggregator, browser: aiohttp.ClientSession) -> None:
    form = {"token": server.token}
    for headers in ({"Origin": "https://evil.example.org"}, {}, {"Origin": "null"}):
        async with browser.post("/console/sign-in", data=form, headers=headers) as answer:
            assert answer.status == 403
            assert "Set-Cookie" not in answer.headers


async def test_a_sign_in_replaces_the_secret_that_the_browser_held(
    server: Aggregator, browser: aiohttp.ClientSession
) -> None:
    await _sign_in(server, browser)
    [first] = [one.value for one in browser.cookie_jar]
    await _sign_in(server, browser)
    [second] = [one.value for one in browser.cookie_jar]
    assert first != second
    assert await _status_with(server, first) == 303


async def test_a_secret_that_an_attacker_chose_is_no_session(server: Aggregator) -> None:
    for chosen in ("chosen", "x" * 5000, "é", "a b", "'; drop table browser_session; --"):
        assert await _status_with(server, chosen) == 303


async def test_a_session_that_was_signed_out_cannot_be_used_again(
    server: Aggregator, browser: aiohttp.ClientSession
) -> None:
    await _sign_in(server, browser)
    [held] = [one.value for one in browser.cookie_jar]
    form = {"csrf": await _csrf(browser)}
    async with browser.post(
        "/console/sign-out", data=form, headers={"Origin": server.url}, allow_redirects=False
    ) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/console/sign-in")
    assert await _status_with(server, held) == 303


async def test_a_form_of_another_session_or_site_changes_nothing(
    server: Aggregator, browser: aiohttp.ClientSession
) -> None:
    await _sign_in(server, browser)
    csrf = await _csrf(browser)
    for form, headers in (
        ({}, {"Origin": server.url}),
        ({"csrf": "0" * 64}, {"Origin": server.url}),
        ({"csrf": csrf}, {"Origin": "https://evil.example.org"}),
        ({"csrf": csrf}, {"Origin": server.url, "Sec-Fetch-Site": "cross-site"}),
    ):
        async with browser.post("/console/sign-out", data=form, headers=headers) as answer:
            assert answer.status == 403
    async with browser.get("/console/", allow_redirects=False) as answer:
        assert answer.status == 200


async def test_an_unknown_page_says_so_with_the_id_of_the_request(
    server: Aggregator, browser: aiohttp.ClientSession
) -> None:
    await _sign_in(server, browser)
    async with browser.get("/console/no-such-page") as answer:
        text = await answer.text()
        assert answer.status == 404
        assert "there is no such page" in text
        assert answer.headers["X-Request-Id"] in text


async def test_an_asset_may_be_kept_for_ever(server: Aggregator, browser: aiohttp.ClientSession) -> None:
    async with browser.get("/console/sign-in") as answer:
        found = re.search(r'href="(/console/assets/[0-9a-f]{16}/style\.css)"', await answer.text())
    assert found is not None
    async with browser.get(found[1]) as answer:
        assert (answer.status, answer.content_type) == (200, "text/css")
        assert "immutable" in answer.headers["Cache-Control"]


async def _link(server: Aggregator) -> URL:
    status, output = await server.whence("console")
    assert status == 0
    return URL(output.splitlines()[0])


async def _use(server: Aggregator, browser: aiohttp.ClientSession, link: URL, origin: str = "") -> tuple[int, str]:
    """Press the button of a link's page; return the status and the page, or where it sends the browser."""
    async with browser.post(
        "/console/link", data={"code": link.query["code"]}, headers={"Origin": origin or server.url},
        allow_redirects=False,
    ) as answer:  # fmt: skip
        return answer.status, answer.headers.get("Location") or await answer.text()


async def test_a_link_begins_one_session_and_no_second(server: Aggregator, browser: aiohttp.ClientSession) -> None:
    link = await _link(server)
    for _ in range(2):  # what opens it without pressing the button, such as a scanner of mails, does not use it up
        async with browser.get(link) as answer:
            assert answer.status == 200
    assert await _use(server, browser, link) == (303, "/console/")
    async with browser.get("/console/") as answer:
        assert ">demo</a>" in await answer.text()
    status, text = await _use(server, browser, link)
    assert status == 401
    assert "the link was used, or is older than five minutes" in text


async def test_another_site_cannot_use_a_link(server: Aggregator, browser: aiohttp.ClientSession) -> None:
    link = await _link(server)
    status, _ = await _use(server, browser, link, "https://evil.example.org")
    assert status == 403
    assert await _use(server, browser, link) == (303, "/console/")


async def test_links_are_made_for_callers_with_a_token_only(server: Aggregator) -> None:
    async with (
        aiohttp.ClientSession(server.url) as session,
        session.post("/v1/console/links", json={}) as answer,
    ):
        assert answer.status == 401


async def test_an_aggregator_without_console_says_how_to_have_one(tmp_path: Path) -> None:
    pem = {"eu-central-1": SigningAuthority.make().pem}
    async with aggregator(tmp_path, tmp_path, authority_pem=pem) as other:
        status, output = await other.whence("console")
    assert status == 4
    assert "this aggregator has no console (set `console: true` in its settings)" in output


async def test_the_secret_of_a_link_is_no_session(server: Aggregator) -> None:
    link = await _link(server)
    assert await _status_with(server, link.query["code"]) == 303


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST"])
async def test_a_method_that_a_page_does_not_take_is_refused_by_the_console(
    server: Aggregator, browser: aiohttp.ClientSession, method: str
) -> None:
    await _sign_in(server, browser)
    async with browser.request(method, "/console/instances", headers={"Origin": server.url}) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_an_address_with_line_breaks_is_one_that_is_not_there(
    server: Aggregator, browser: aiohttp.ClientSession
) -> None:
    await _sign_in(server, browser)
    async with browser.get(URL("/console/%0d%0aX", encoded=True)) as answer:
        assert (answer.status, answer.headers["X-Frame-Options"]) == (404, "DENY")
