"""Hostile text from instances and from the application registry, on every page of the console in a real browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.agent_client import AgentClient
from fakes.chromium import chromium
from fakes.machine import DIGEST, FAILED, Machine, scm
from fakes.signing_authority import SigningAuthority
from landscape.console_walk import signed_in, walked
from landscape.processes import free_port
from landscape.programs import Aggregator, aggregator
from whence_common.runtime.pause import pause
from whence_common.statement import ApplicationFacts, ContainerFacts, UserDataFacts

_RUN = "window.hostile=1"
HOSTILE = (
    f"<script>{_RUN}</script>", f"</script><script>{_RUN}</script>", f"<img src=x onerror={_RUN}>", f"<svg onload={_RUN}>",
    f"<svg><script>{_RUN}</script></svg>", f"<iframe srcdoc='<script>parent.{_RUN[7:]}</script>'></iframe>",
    f"<details open ontoggle={_RUN}>", f"<body onload={_RUN}>", f"<input autofocus onfocus={_RUN}>",
    f"<a href=javascript:{_RUN}>x</a>", f"<math><mtext></table><mglyph><style><!--</style><img src=x onerror={_RUN}>",
    f"\"><script>{_RUN}</script>", f"' onmouseover='{_RUN}", f"\" autofocus onfocus=\"{_RUN}", f"`onerror={_RUN}`",
    f"javascript:{_RUN}", f"JaVaScRiPt:{_RUN}", f"java\tscript:{_RUN}", f"data:text/html,<script>{_RUN}</script>",
    f"vbscript:{_RUN}", "//evil.example.org/x", "https://evil.example.org/\"><b>", "<link rel=stylesheet href=//evil.example.org>",
    "<meta http-equiv=refresh content='0;url=//evil.example.org'>", "<base href=//evil.example.org>",
    "<form action=//evil.example.org><button>", "<style>*{display:none}</style>", "</title><h1>Owned</h1>", "</textarea><b>",
    "{{ 7 * 7 }}", "{% raw %}", "${7*7}", "\u202egnp.exe", "\u2066a\u2069\u200b\u200d\ufeff", "\u202d\u202e\u202c", "e" + "\u0301" * 500,
    "\u001b[31mred\u001b[0m", "\u001b]8;;https://evil.example.org\u0007x", "x" * 10_000, "wide " * 400 + "w" * 3_000,
)  # fmt: skip
"""Of these, the API refuses some; all that it takes is on the pages."""


@pytest.fixture(scope="module")
async def server(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aggregator]:
    home: Path = tmp_path_factory.mktemp("hostile")
    port = free_port()
    async with aggregator(
        home, home, authority_pem={"eu-central-1": authority.pem}, port=port,
        console={"url": f"http://127.0.0.1:{port}"},
    ) as one:  # fmt: skip
        yield one


async def _state(server: Aggregator, authority: SigningAuthority) -> int:
    """Have instances and the registry state each text; return how many were taken."""
    taken = 0
    async with aiohttp.ClientSession() as session:
        client = AgentClient(session, server.url)
        for number, text in enumerate(HOSTILE):
            machine = Machine(authority, f"i-{number:017x}")
            await client.enrol(machine)
            document = {"application_id": text, "environment": {text[:200]: text}, "source": text, "notes": [text]}
            container = ContainerFacts(name=text[:200], container_id="1", image_digest=DIGEST, state="running")
            stated: dict[str, Any] = {
                "user_data": UserDataFacts(digest="sha256:" + "a" * 64, document=document),
                "application": ApplicationFacts(id=f"app-{number}", version=text[:100]),
                "containers": [container],
                "scm_source": scm(author=text, status=text, url=text, revision=text),
            }
            if number % 4 == 3:
                problem = {
                    "severity": "error", "code": "x", "line": 1, "column": 1, "path": text, "message": text, "fix": text,
                }  # fmt: skip
                stated |= {**FAILED, "problems": [problem]}
            status, _ = await client.say(machine, **stated)
            taken += status == 201
            kio = {
                "team_id": "hello", "name": text, "active": True, "subtitle": text, "description": text,
                "incident_contact": text, "specification_type": text,
            }  # fmt: skip
            taken += await server.put(f"/apps/app-{number}", kio) == 200
            for name in ("scm_url", "service_url", "documentation_url", "specification_url", "support_url"):
                taken += await server.put(f"/apps/url-{number}-{name[:3]}", kio | {"name": "u", name: text}) == 200
    return taken


async def test_no_text_of_others_runs_leaves_the_site_or_widens_a_page(
    server: Aggregator, authority: SigningAuthority
) -> None:
    assert await _state(server, authority) >= 100
    await pause(2.0)  # until some are judged: what is not yet judged then is on the pages all the same
    asked: list[str] = []
    dialogs: list[str] = []
    async with chromium() as person:
        await signed_in(server.url, person, server.token)
        person.page.on("request", lambda request: asked.append(request.url))
        person.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        pages = list((await walked(server.url, person)).values())
        pages += [f"{server.url}/console/instances/i-{number:017x}" for number in range(len(HOSTILE))]
        pages += [f"{server.url}/console/applications/app-{number}" for number in range(len(HOSTILE))]
        wide = []
        for url in pages:
            await person.look(url)
            assert await person.page.evaluate("window.hostile") is None, url
            assert await person.page.title() != "", url
            if await person.is_wider_than_screen():
                wide.append((url, await person.widest()))
        assert wide == []
        assert [url for url in asked if not url.startswith(server.url)] == []
        assert dialogs == []
        assert person.complaints == []


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_search_for_hostile_text_shows_it_as_text(server: Aggregator, text: str) -> None:
    jar = aiohttp.CookieJar(unsafe=True)  # of an address, not of a name
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, headers={"Origin": server.url}) as browser:
        async with browser.post("/console/sign-in", data={"token": server.token}, allow_redirects=False) as answer:
            assert answer.status == 303
        for path, parameters in (
            ("/console/search", {"q": text[:2_000]}), ("/console/applications", {"q": text[:200], "team": text[:100]}),
            ("/console/violations", {"team": text[:100]}), ("/console/sign-in", {"next": text[:2_000]}), ("/console/link", {"code": text[:2_000]}),
        ):  # fmt: skip
            async with browser.get(path, params=parameters) as answer:
                page = await answer.text()
                assert answer.status in (200, 303, 400, 404), (path, answer.status)
                assert answer.headers["X-Frame-Options"] == "DENY"
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert "<script>window" not in page
                assert not {"\u202e", "\u200b", "\u001b"} & set(page)
