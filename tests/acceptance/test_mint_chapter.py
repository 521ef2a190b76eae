"""The chapter on mint: its commands work in the order in which they stand there, with the program and an old mint."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from fakes.signing_authority import SigningAuthority
from landscape.documents import shell
from landscape.minting import mint_settings
from landscape.programs import BIN, Aggregator, aggregator
from landscape.whole import ROOT

CHAPTER = re.compile(r"^## Credentials: mint\n(.*?)^## ", re.DOTALL | re.MULTILINE)
PROBLEMS = re.compile(r"^### Problems of applications\n(.*?)^### ", re.DOTALL | re.MULTILINE)
SOURCE, MINT = ROOT / "aggregator" / "src" / "whence_aggregator", ("mint", "adapters/mint")
OLD = {
    "id": "greeter", "username": "stups_greeter", "client_id": "stups_greeter_1234", "redirect_url": "https://greeter.example.org/",
    "redirect_urls": [], "is_client_confidential": True, "last_password_rotation": "2026-11-22T10:00:00.000Z",
    "last_client_rotation": "2026-11-01T10:00:00.000Z", "last_modified": "2026-10-01T10:00:00.000Z",
    "last_synced": "2026-11-22T10:00:00.000Z", "has_problems": False, "message": "", "s3_errors": 0,
    "s3_buckets": ["example-stups-mint-123456789012-eu-central-1", "example-stups-mint-123456789012-eu-west-1"],
    "scopes": [{"resource_type_id": "sales-order", "scope_id": "read"}],
}  # fmt: skip
"""An application as mint-storage shows it."""


def problems() -> str:
    """Return the chapter's table of problems."""
    text = (ROOT / "aggregator" / "README.md").read_text(encoding="utf-8")
    found = PROBLEMS.search(text)
    assert found is not None
    return found[1]


def chapter(language: str) -> list[str]:
    """Return the chapter's blocks of a language."""
    text = (ROOT / "aggregator" / "README.md").read_text(encoding="utf-8")
    found = CHAPTER.search(text)
    assert found is not None
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```", found[1], re.DOTALL | re.MULTILINE)
    return blocks


@asynccontextmanager
async def old_mint() -> AsyncIterator[str]:
    """Serve what the old mint would answer; give its URL."""

    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer old"
        return web.json_response(OLD)

    application = web.Application()
    application.add_routes([web.get("/apps/greeter", answer)])
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def server(tmp_path: Path, authority: SigningAuthority) -> AsyncIterator[Aggregator]:
    async with aggregator(
        tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, mint=mint_settings(tmp_path)
    ) as running:
        yield running


async def test_every_command_of_the_chapter_works(server: Aggregator, tmp_path: Path) -> None:
    (tmp_path / "mint.json").write_text(chapter("json")[0], encoding="utf-8")
    lines = [line for block in chapter("sh") for line in block.splitlines()]
    assert len(lines) == 11
    async with old_mint() as url:
        environment = {
            **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "WHENCE_URL": server.url,
            "WHENCE_TOKEN": server.token, "MINT_URL": url, "MINT_TOKEN": "old",
        }  # fmt: skip
        for line in lines:
            command = line.replace("/etc/whence/mint.key", str(tmp_path / "new.key"))
            command = command.replace("@mint.json", f"@{tmp_path}/mint.json")
            if line == "whence-aggregator check":
                command += f" --config {server.config}"
            code, output = await shell(command, environment)
            # nothing listens where the provider should be, which is a problem of the application as soon as it was asked
            expected = {0, 1} if line.startswith("whence credentials") else {0}
            assert code in expected, (line, code, output)
    key = tmp_path / "new.key"
    assert (key.stat().st_size, key.stat().st_mode & 0o777) == (32, 0o600)
    kept = ("username", "redirect_url", "is_client_confidential", "s3_buckets", "scopes")
    found = await server.get("/mint/apps/greeter")
    assert {name: found[name] for name in kept} == {**{name: OLD[name] for name in kept}, "username": "greeter"}


def test_every_problem_of_an_application_has_a_row_in_the_chapter() -> None:
    """A code is a text of mint or of its adapters; those about the settings end the program before."""
    text = "".join(path.read_text(encoding="utf-8") for part in MINT for path in sorted((SOURCE / part).glob("*.py")))
    codes = set(
        re.findall(r'"((?:provider|bucket|mint-bucket|mint-role|mint-seal|mint-deletions|mint-kio)-[a-z-]+)"', text)
    )
    rows = re.findall(r"^\| (`[a-z]+-.*?) \|", problems(), re.MULTILINE)
    assert set(re.findall(r"`([a-z-]+)`", " ".join(rows))) == codes - {"mint-bucket-row", "mint-bucket-rows"}


async def test_the_example_of_the_chapter_is_an_application(server: Aggregator) -> None:
    """As a client sends it, with nothing that the API ignores."""
    await server.put("/apps/greeter", {"team_id": "hello", "name": "Greeter", "active": True})
    stated = json.loads(chapter("json")[0])
    assert await server.put("/mint/apps/greeter", stated) == 200
    found = await server.get("/mint/apps/greeter")
    assert {name: found[name] for name in stated} == stated
