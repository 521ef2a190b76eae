"""The pages about instances over a real aggregator: what enrolled is shown, and its evidence is saved and verified."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from fakes.agent_client import AgentClient
from fakes.machine import FAILED, Machine
from fakes.signing_authority import SigningAuthority
from landscape.processes import free_port
from landscape.programs import Aggregator, aggregator


@dataclass
class Shown:
    server: Aggregator
    home: Path
    right: Machine
    failed: Machine


@pytest.fixture(scope="module")
async def console(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shown]:
    home: Path = tmp_path_factory.mktemp("instances")
    port = free_port()
    async with (
        aggregator(
            home, home, authority_pem={"eu-central-1": authority.pem}, port=port,
            console={"url": f"http://127.0.0.1:{port}"},
        ) as server,
        aiohttp.ClientSession() as session,
    ):  # fmt: skip
        client = AgentClient(session, server.url)
        right, failed = (Machine(authority, f"i-{number:017x}") for number in (1, 2))
        for machine, changes in ((right, {}), (failed, FAILED)):
            assert (await client.enrol(machine))[0] == 201
            assert (await client.say(machine, **changes))[0] == 201
        assert (await client.say(right, cause="change"))[0] == 201
        yield Shown(server, home, right, failed)


@pytest.fixture
async def browser(console: Shown) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)  # of an address, not of a name
    async with aiohttp.ClientSession(console.server.url, cookie_jar=jar, headers={"Accept": "text/html"}) as session:
        form = {"token": console.server.token, "next": "/console/"}
        async with session.post("/console/sign-in", data=form, headers={"Origin": console.server.url}) as answer:
            assert answer.status == 200
        yield session


async def _get(browser: aiohttp.ClientSession, path: str, status: int = 200) -> str:
    async with browser.get(path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.text()


async def test_the_list_leads_to_each_instance_and_each_has_its_verdict(
    console: Shown, browser: aiohttp.ClientSession
) -> None:
    listed = await _get(browser, "/console/instances")
    assert "2 instances run now" in listed
    for machine in (console.right, console.failed):
        path = f"/console/instances/{machine.instance_id}"
        assert f'href="{path}"' in listed
        assert len(re.findall("<h1>", await _get(browser, path))) == 1
    assert "Failed boot: " in await _get(browser, f"/console/instances/{console.failed.instance_id}")


async def test_evidence_that_was_saved_from_the_page_verifies(console: Shown, browser: aiohttp.ClientSession) -> None:
    html = await _get(browser, f"/console/instances/{console.right.instance_id}")
    files = {}
    for kind in ("statements", "receipts"):
        found = re.search(rf'href="(/console/{kind}/sha256[^"]+)"', html)
        assert found is not None
        async with browser.get(URL(unescape(found[1]), encoded=True)) as answer:
            assert answer.status == 200
            name = re.search(r'attachment; filename="([0-9a-f]{64}\.[a-z-]+)"', answer.headers["Content-Disposition"])
            assert name is not None
            files[kind] = console.home / name[1]
            files[kind].write_bytes(await answer.read())
    async with console.server.session() as session, session.get(console.server.url + "/v1/log/keys") as answer:
        keys = console.home / "keys"
        keys.write_text(await answer.text())
    code, said = await console.server.whence("verify", str(files["receipts"]), "--log-key", str(keys))
    assert (code, "of whence.example.org" in said) == (0, True), said


async def test_a_receipt_is_saved_by_the_number_of_its_entry(console: Shown, browser: aiohttp.ClientSession) -> None:
    async with browser.get("/console/receipts/1.tlog-proof") as answer:
        assert (answer.status, (await answer.text()).startswith("c2sp.org/tlog-proof@v1\n")) == (200, True)
    await _get(browser, "/console/receipts/999999.tlog-proof", status=404)
    await _get(browser, "/console/statements/sha256:" + "0" * 64, status=404)
    await _get(browser, "/console/statements/nonsense", status=400)


async def test_a_moment_is_shown_and_one_before_the_first_statement_is_told_apart(
    console: Shown, browser: aiohttp.ClientSession
) -> None:
    path = f"/console/instances/{console.right.instance_id}"
    moments = re.findall(r'at=(2[^"&]+)"', await _get(browser, path))
    assert "As of " in await _get(browser, f"{path}?at={moments[0]}")
    assert "Not heard yet: " in await _get(browser, f"{path}?at=2020-01-01T00:00")
    await _get(browser, f"{path}?at=yesterday", status=400)
    await _get(browser, f"{path}?at=2100-01-01T00:00", status=400)
    await _get(browser, "/console/instances/i-0fffffffffffffff0", status=404)
    await _get(browser, "/console/instances/nonsense", status=400)
