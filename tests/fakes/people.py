"""STUPS's token and team services over real HTTP: tokens by what they say, teams by who is in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from landscape.processes import free_port

PEOPLE: dict[str, dict[str, object]] = {
    "ada": {"uid": "ada", "realm": "/employees", "scope": ["uid"]},
    "robot": {"uid": "robot", "realm": "/services", "scope": ["uid", "application.write"]},
    "mute": {"uid": "mute", "realm": "/services", "scope": ["uid"]},
    "chief": {"uid": "chief", "realm": "/services", "scope": ["uid", "application.write_all"]},
    "minter": {"uid": "minter", "realm": "/services", "scope": ["uid", "application.write_sensitive"]},
    "worker": {"uid": "worker", "realm": "/services", "scope": ["uid", "application.write_all_sensitive"]},
    "other-worker": {"uid": "other-worker", "realm": "/services", "scope": ["uid", "application.write_all_sensitive"]},
    "odd-worker": {"uid": "odd-worker", "realm": "customers", "scope": ["uid", "application.write_all_sensitive"]},
    "odd": {"uid": "odd", "realm": "customers", "scope": ["uid", "application.write"]},
    "bare": {"uid": "bare", "realm": "employees"},
    "nobody": {"realm": "/employees", "scope": ["uid"]},
}
MEMBERS = {
    "ada": {"alpha"}, "bare": {"alpha"}, "robot": {"alpha", "beta"}, "mute": {"alpha"}, "odd": {"alpha"},
    "minter": {"alpha"},
}  # fmt: skip


@dataclass
class People:
    """Where they are asked. While `down` is set both answer 503; `asked` are the teams that were asked about.

    `members` are the teams by person, which a test may change.
    """

    url: str
    down: bool = False
    asked: list[str] = field(default_factory=list)
    checked: int = 0
    members: dict[str, set[str]] = field(default_factory=lambda: {name: set(teams) for name, teams in MEMBERS.items()})

    @property
    def tokeninfo_url(self) -> str:
        return f"{self.url}/tokeninfo"

    async def tokeninfo(self, request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=503)
        self.checked += 1
        found = PEOPLE.get(request.headers.get("Authorization", "").removeprefix("Bearer ").removeprefix("token-of-"))
        return web.json_response(found) if found is not None else web.json_response({"error": "invalid"}, status=400)

    async def auth(self, request: web.Request) -> web.Response:
        if self.down:
            return web.Response(status=503)
        person = request.headers["Authorization"].removeprefix("Bearer token-of-")
        team = (await request.json())["payload"]["team"]
        self.asked.append(team)
        return web.Response(status=200 if team in self.members.get(person, set()) else 403)


@asynccontextmanager
async def people() -> AsyncIterator[People]:
    """Serve both on one port."""
    port = free_port()
    found = People(url=f"http://127.0.0.1:{port}")
    application = web.Application()
    application.add_routes([web.get("/tokeninfo", found.tokeninfo), web.get("/auth", found.auth)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield found
    finally:
        await runner.cleanup()
