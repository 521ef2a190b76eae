"""The program `whence-aggregator mint` beside providers that answer what they must not: applications of another provider
are rotated all the time, each problem names its reason, and memory stays bounded. S3 and STS are moto's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from acceptance.test_mint_circle import APP, Circle, documents, make_bucket
from fakes.mint_house import found_secrets
from fakes.mint_lying import LyingProvider
from fakes.openid_provider import openid_provider
from fakes.signing_authority import SigningAuthority
from landscape.aws import moto_server
from landscape.endurance import WHOLE
from landscape.minting import mint_settings
from landscape.processes import Process, started
from landscape.programs import aggregator
from landscape.whole import ROOT
from whence_common.runtime.pause import pause

HOSTILE: Mapping[str, tuple[str, str]] = {
    "large": ("provider-too-large", "answers with more than"),
    "page": ("provider-page", "answers with a page for people"),
    "elsewhere": ("provider-redirect", "redirects, which is not followed"),
    "silent": ("provider-unreachable", "took too long"),
    "slow": ("provider-unreachable", "took too long"),
}
"""Providers by name, with the code and the words of the problem of their applications."""
AT_ONCE = ("large", "page", "elsewhere")
"""The others are known after 20 seconds, which is waited for in the whole run only."""
MEGABYTE = 1024 * 1024
WAIT_SECONDS_MAX = 60.0


async def lie(request: web.Request) -> web.StreamResponse:
    """Answer as the first segment of the path says."""
    match request.path.split("/")[1]:
        case "large":
            return web.json_response({"client_id": "x" * (10 * MEGABYTE)}, status=201)
        case "page":
            return web.Response(text="<html><title>Sign in</title></html>", content_type="text/html")
        case "elsewhere":
            return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/reg"})
        case "slow":
            answer = web.StreamResponse(headers={"Content-Type": "application/json"})
            await answer.prepare(request)
            while True:
                with suppress(ConnectionError):  # the program has given up
                    await answer.write(b" ")
                await pause(0.2)
    await asyncio.Event().wait()
    raise AssertionError("it never answers")


def memory_bytes(process: Process) -> int:
    """Return the most memory that a process has had."""
    lines = Path(f"/proc/{process.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@pytest.fixture
async def circle(tmp_path: Path, authority: SigningAuthority, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Circle]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    token = tmp_path / "registration.token"
    token.write_text("registration-of-the-suite", encoding="ascii")
    token.chmod(0o600)
    port, ahead = tmp_path / "mint.port", tmp_path / "ahead"
    ahead.write_text("0", encoding="ascii")
    clock = (sys.executable, str(ROOT / "tests" / "landscape" / "stepped_clock.py"), str(ahead))

    async def ready() -> bool:
        return port.exists()

    async with (
        moto_server(tmp_path) as moto, openid_provider(tmp_path) as provider, LyingProvider(lie).serve() as lying,
    ):  # fmt: skip
        await make_bucket(moto)
        mint: dict[str, Any] = dict(
            mint_settings(tmp_path, provider.issuer, alone=True, listen_port=0, default_provider="issuer")
        )
        mint["providers"]["issuer"]["token_file"] = str(token)
        for name in HOSTILE:
            mint["providers"][name] = {
                "type": "registration", "url": f"{lying.url}/{name}/reg", "token_url": f"{lying.url}/{name}/token",
                "private_addresses": True,
            }  # fmt: skip
        mint["buckets"][0]["role"] = "arn:aws:iam::{account_id}:role/whence-mint"
        async with aggregator(
            tmp_path,
            tmp_path,
            authority_pem={"eu-central-1": authority.pem},
            mint=mint,
            aws_endpoint_url=moto.url,
            within=clock,
        ) as program:
            command = [*clock, "whence-aggregator", "mint", "--config", program.config, "--port-file", port]
            async with started("mint", command, logs=tmp_path, ready=ready) as process:
                storage = f"http://127.0.0.1:{port.read_text(encoding='ascii')}"
                yield Circle(program, storage, (program.process, process), moto, provider, ahead, [])


async def problems(circle: Circle, application_id: str) -> list[dict[str, Any]]:
    found = await circle.get(f"/v1/credentials/{application_id}")
    return list(found["problems"])


@pytest.mark.endurance
async def test_a_hostile_provider_costs_the_applications_of_others_nothing(circle: Circle) -> None:
    mint = circle.processes[-1]
    for name in ("greeter", *HOSTILE):
        assert await circle.program.put(f"/apps/{name}", {"team_id": "hello", "name": name, "active": True}) == 200
    before = memory_bytes(mint)
    for name in HOSTILE:
        await circle.stored("PUT", f"/apps/{name}", {**APP, "provider": name, "credentials": ["client"]})
    await circle.stored("PUT", "/apps/greeter", APP)
    generation = await circle.current()
    for name in HOSTILE if WHOLE else AT_ONCE:
        code, words = HOSTILE[name]
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while not (found := await problems(circle, name)):
                await pause(0.1)
        assert (found[0]["code"], words in found[0]["problem"]) == (code, True), found
    circle.pass_time()
    await circle.stored("POST", "/apps/greeter/renewal")
    assert await circle.current(generation) != generation, "others are rotated while some hang"
    assert memory_bytes(mint) - before < 48 * MEGABYTE
    await no_secret_is_in_the_processes(circle)


async def no_secret_is_in_the_processes(circle: Circle) -> None:
    """Look for every secret by its value in the arguments and the environments of the programs and their children."""
    secrets = [one["client_secret"] for one in await documents(circle.moto)]
    secrets += ["registration-of-the-suite", "k" * 32]
    of = {str(one.process.pid) for one in circle.processes}
    seen = list[bytes]()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = (place / "stat").read_text().rpartition(")")[2].split()[1]
            if place.name in of or parent in of:
                seen += [(place / "cmdline").read_bytes(), (place / "environ").read_bytes()]
        except OSError:
            continue  # it has ended
    assert any(b"whence-aggregator" in one for one in seen)
    assert len(secrets) == 4
    assert found_secrets(iter(seen), secrets) == []
