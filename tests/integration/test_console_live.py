"""Live updates of the overview: they follow new entries, end with their session, and have bounds."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from fakes.agent_client import AgentClient
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.processes import free_port
from landscape.programs import Aggregator, aggregator

_SECONDS_MAX = 60.0


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, authority: SigningAuthority) -> AsyncIterator[Aggregator]:
    home: Path = tmp_path_factory.mktemp("live")
    port = free_port()
    async with aggregator(
        home, home, authority_pem={"eu-central-1": authority.pem}, port=port,
        console={"url": f"http://127.0.0.1:{port}"},
    ) as one:  # fmt: skip
        yield one


@pytest.fixture
async def browser(server: Aggregator) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)  # of an address, not of a name
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Origin": server.url}) as session:
        async with session.post("/console/sign-in", data={"token": server.token}, allow_redirects=False) as answer:
            assert answer.status == 303
        yield session


async def _event(stream: aiohttp.ClientResponse) -> tuple[str, dict[str, str]]:
    """Return the name and the parts of the next event."""
    name = ""
    while line := (await stream.content.readline()).decode().rstrip("\n"):
        key, _, value = line.partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            assert await stream.content.readline() == b"\n"
            return name, json.loads(value)
        elif key == "retry":
            assert await stream.content.readline() == b"\n"
    raise AssertionError("the stream ended")


async def test_the_parts_of_the_page_arrive_again_after_a_new_entry(
    server: Aggregator, browser: aiohttp.ClientSession, authority: SigningAuthority
) -> None:
    async with asyncio.timeout(_SECONDS_MAX):
        async with browser.get("/console/") as page:
            text = await page.text()
            assert 'data-live-href="/console/live"' in text
            named = set(re.findall(r'data-live="([a-z-]+)"', text))
        async with browser.get("/console/live") as stream:
            assert (stream.status, stream.content_type) == (200, "text/event-stream")
            assert stream.headers["Cache-Control"] == "no-store"
            name, parts = await _event(stream)
            assert (name, set(parts)) == ("parts", named)
            assert "Nothing has changed lately" in parts["changes"]
            async with aiohttp.ClientSession() as session:
                client, machine = AgentClient(session, server.url), Machine(authority)
                assert (await client.enrol(machine))[0] == 201
                assert (await client.say(machine))[0] == 201
            changed: dict[str, str] = {}
            while "changes" not in changed:
                _, changed = await _event(stream)
            assert ">greeter</a>" in changed["changes"]
            assert f'href="/console/instances/{machine.instance_id}"' in changed["changes"]


async def test_a_stream_needs_a_session_and_ends_with_it(server: Aggregator, browser: aiohttp.ClientSession) -> None:
    async with aiohttp.ClientSession(server.url) as other, other.get("/console/live") as refused:
        assert refused.status == 401
    async with asyncio.timeout(_SECONDS_MAX), browser.get("/console/live") as stream:
        await _event(stream)
        async with browser.get("/console/") as page:
            found = re.search(r'name="csrf" value="([0-9a-f]{64})"', await page.text())
        assert found is not None
        async with browser.post("/console/sign-out", data={"csrf": found[1]}, allow_redirects=False) as answer:
            assert answer.status == 303
        name = "parts"
        while name == "parts":
            name, _ = await _event(stream)
        assert name == "ended"
        assert await stream.content.read() == b""


async def test_a_session_has_a_bounded_number_of_streams_and_gets_room_again(browser: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(_SECONDS_MAX):
        async with AsyncExitStack() as stack:
            for _ in range(4):
                one = await stack.enter_async_context(browser.get("/console/live"))
                assert one.status == 200
            async with browser.get("/console/live") as refused:
                assert (refused.status, refused.headers["Retry-After"]) == (429, "30")
                assert "this session has 4 live pages open" in await refused.text()
        while True:  # the server sees within a second that clients have left
            async with browser.get("/console/live") as again:
                if again.status == 200:
                    break


async def test_what_an_open_page_asks_again_and_again_is_not_logged_each_time(
    server: Aggregator, browser: aiohttp.ClientSession
) -> None:
    def asked() -> int:
        lines = server.process.log.read_text().splitlines()
        return sum('"asked"' in line and '"path": "/v1/coverage"' in line for line in lines)

    async with asyncio.timeout(_SECONDS_MAX), browser.get("/console/live") as stream:
        await _event(stream)
        before = asked()
        for _ in range(3):
            await _event(stream)
        assert asked() == before
        async with browser.get("/console/accounts") as page:
            assert page.status == 200
        assert asked() == before + 1, "a visit is logged"
