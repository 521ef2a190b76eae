"""A console with violations to act on: three instances that failed to boot, a person who operates, and a reader."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp

from fakes.agent_client import AgentClient
from fakes.machine import FAILED, Machine
from fakes.signing_authority import SigningAuthority
from landscape.processes import free_port
from landscape.programs import Aggregator, aggregator
from whence_aggregator.callers.tokens import new_token
from whence_common.clock import utc_now
from whence_common.runtime.pause import pause

ORGANISATION = (
    "teams: [{id: platform, name: Platform}]\n"
    'accounts: [{id: "123456789012", name: demo, owner: platform, allows: [platform]}]\n'
)


@dataclass
class Visited:
    """A browser that is signed in, without scripts and without eyes."""

    session: aiohttp.ClientSession
    origin: str

    async def get(self, path: str, **query: str) -> tuple[int, str]:
        async with self.session.get(path, params=query) as answer:
            return answer.status, await answer.text()

    async def save(self, path: str, **query: str) -> tuple[bytes, dict[str, str]]:
        async with self.session.get(path, params=query) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read(), dict(answer.headers)

    async def send(self, path: str, page: str, **form: str) -> tuple[int, str]:
        """Send a form of a page, and follow to where it leads."""
        found = re.search(r'name="csrf" value="([0-9a-f]{64})"', page)
        assert found is not None
        fields = {"csrf": found[1], **form}
        async with self.session.post(path, data=fields, headers={"Origin": self.origin}) as answer:
            return answer.status, await answer.text()


@dataclass
class Served:
    """The aggregator, the tokens of its people, and the digest of a statement."""

    server: Aggregator
    tokens: dict[str, str]
    digest: str

    @asynccontextmanager
    async def visit(self, name: str) -> AsyncIterator[Visited]:
        jar = aiohttp.CookieJar(unsafe=True)  # of an address, not of a name
        url = self.server.url
        async with aiohttp.ClientSession(url, cookie_jar=jar, headers={"Accept": "text/html"}) as session:
            form = {"token": self.tokens[name], "next": "/console/violations"}
            async with session.post("/console/sign-in", data=form, headers={"Origin": url}) as answer:
                assert answer.status == 200
            yield Visited(session, url)


@asynccontextmanager
async def violations_served(authority: SigningAuthority, directory: Path) -> AsyncIterator[Served]:
    home = directory / "aggregator"
    home.mkdir()
    (home / "organisation.yaml").write_text(ORGANISATION, encoding="utf-8")
    now = utc_now()
    made = {
        name: new_token(name, teams, admin=False, made=now, until=now + timedelta(days=1), rights=rights)
        for name, teams, rights in (
            ("ada", ["platform"], ("operate", "person", "user-data")),
            ("reader", ["other"], ()),
        )
    }
    (home / "tokens").write_text("".join(f"{line.to_line()}\n" for _, line in made.values()))
    port = free_port()
    async with (
        aggregator(
            directory,
            directory,
            authority_pem={"eu-central-1": authority.pem},
            port=port,
            console={"url": f"http://127.0.0.1:{port}"},
            organisation={"file": str(home / "organisation.yaml")},
        ) as server,
        aiohttp.ClientSession() as session,
    ):
        client, digest = AgentClient(session, server.url), ""
        for number in range(3):
            machine = Machine(authority, f"i-{number:017x}")
            assert (await client.enrol(machine))[0] == 201
            digest = (await client.say(machine, **FAILED))[1]["digest"]
        while True:
            found = await server.get("/v1/violations", grouped="true", rule="boot-failed", team="platform")
            if found["violations"] and found["violations"][0]["members"] == 3:
                break
            await pause(0.1)
        yield Served(server, {name: token for name, (token, _) in made.items()}, digest)
