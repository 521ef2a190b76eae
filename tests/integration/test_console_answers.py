"""Pages of the console from answers of a running aggregator: what is there, what is not, and no answer shown raw."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from fakes.agent_client import AgentClient
from fakes.machine import COMMIT, DIGEST, Machine
from fakes.signing_authority import SigningAuthority
from landscape.processes import free_port
from landscape.programs import Aggregator, aggregator

_INSTANCE = "i-0123456789abcdef0"
_ACCOUNT = "123456789012"
_BYTES_MAX = 100 * 1024


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, authority: SigningAuthority) -> AsyncIterator[Aggregator]:
    """An aggregator with one team, one application, and one instance; nothing outside answers it."""
    home: Path = tmp_path_factory.mktemp("answers")
    stated = home / "organisation.yaml"
    stated.write_text(
        f"teams: [{{id: hello, aliases: [greeters], members: [ada]}}]\n"
        f'accounts: [{{id: "{_ACCOUNT}", name: production, owner: hello}}]\n'
    )
    port = free_port()
    async with aggregator(
        home, home, authority_pem={"eu-central-1": authority.pem}, port=port,
        console={"url": f"http://127.0.0.1:{port}"}, organisation={"file": str(stated)},
    ) as one:  # fmt: skip
        assert await one.put("/v1/applications/greeter", {"team_id": "hello", "name": "Greeter", "active": True}) == 201
        async with aiohttp.ClientSession() as session:
            client, machine = AgentClient(session, one.url), Machine(authority)
            assert (await client.enrol(machine))[0] == 201
            assert (await client.say(machine))[0] == 201
        yield one


@pytest.fixture
async def browser(server: Aggregator) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)  # of an address, not of a name
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Origin": server.url}) as session:
        async with session.post("/console/sign-in", data={"token": server.token}, allow_redirects=False) as answer:
            assert answer.status == 303
        yield session


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/", "Newest changes"),
        ("/teams/hello", "team hello"),
        ("/accounts", "production"),
        (f"/accounts/{_ACCOUNT}", "account production"),
        ("/people/ada", "ada is in 1 team: hello"),
        ("/amis/ami-12c6146b", "1 instance runs from ami-12c6146b"),
        ("/me", "You are signed in as demo"),
        ("/search", "Find anything by its key or a part of its name"),
        ("/search?q=nothing-at-all", "Nothing is found for “nothing-at-all”"),
        ("/search?q=image", "things are found for “image”"),
        ("/search?q=image&kind=rules&cursor=10", "image"),
    ],
)
async def test_a_page_is_made_of_real_answers_within_its_bound(
    browser: aiohttp.ClientSession, path: str, words: str
) -> None:
    async with browser.get(f"/console{path}") as answer:
        content = await answer.read()
        assert (answer.status, answer.content_type) == (200, "text/html")
        assets = re.findall(r'(?:src|href)="(/console/assets/[^"]+)"', content.decode())
    sizes = [len(content)]
    for one in assets:
        async with browser.get(one) as answer:
            assert answer.status == 200
            sizes.append(len(await answer.read()))
    assert sum(sizes) < _BYTES_MAX
    page = content.decode()
    assert words in page
    assert page.count("<h1>") == 1
    assert " style=" not in page
    assert "<script>" not in page
    text = re.sub(r"<[^>]+>", " ", page[page.index("<main") :])
    for raw in ("None", "True", "False", "null"):
        assert not re.search(rf"\b{raw}\b", text), raw


@pytest.mark.parametrize(
    ("query", "page"),
    [
        (_INSTANCE, f"/instances/{_INSTANCE}"),
        (COMMIT[:7], f"/commits/{COMMIT}"),
        (DIGEST, f"/images/{DIGEST.replace(':', '%3A')}"),
        ("greeter", "/applications/greeter"),
        ("greeters", "/teams/hello"),
        ("ada", "/people/ada"),
        (_ACCOUNT, f"/accounts/{_ACCOUNT}"),
        ("producti", f"/accounts/{_ACCOUNT}"),
        ("ami-12c6146b", "/amis/ami-12c6146b"),
        ("image-mutable", "/rules/image-mutable"),
    ],
)
async def test_a_search_opens_what_is_unique(browser: aiohttp.ClientSession, query: str, page: str) -> None:
    async with browser.get("/console/search", params={"q": query}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers.get("Location")) == (303, f"/console{page}")


@pytest.mark.parametrize("path", ["/teams/nobody", "/accounts/999999999999", "/people/nobody", "/amis/ami-0000"])
async def test_what_is_not_there_is_not_found(browser: aiohttp.ClientSession, path: str) -> None:
    async with browser.get(f"/console{path}") as answer:
        assert answer.status == 404
        assert "This is not there" in await answer.text()


@pytest.mark.parametrize(
    "path, status, kind",
    [
        ("/console/violations.csv", 200, "text/csv; charset=utf-8"),
        ("/console/files/keys", 200, "text/plain; charset=utf-8"),
        ("/console/receipts/0.tlog-proof", 200, "text/plain; charset=utf-8"),
        (f"/console/statements/sha256:{'0' * 64}", 404, "text/html; charset=utf-8"),
        ("/console/statements/sha256:x", 400, "text/html; charset=utf-8"),
        ("/console/live", 405, "text/html; charset=utf-8"),
    ],
)
async def test_head_has_the_status_and_the_form_of_get(
    browser: aiohttp.ClientSession, path: str, status: int, kind: str
) -> None:
    async with browser.head(path) as answer:
        assert (answer.status, answer.headers["Content-Type"]) == (status, kind)
        assert await answer.read() == b""
