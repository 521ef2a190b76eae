"""The operator's signals: a reload that loses no request, a stop that finishes what is under way, a stop at once."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.signing_authority import SigningAuthority
from landscape.certificates import Certificates, loopback_certificates
from landscape.forks import Forked
from landscape.processes import run, started
from landscape.programs import BIN, Aggregator, aggregator
from whence_common.note import LOG, Signer

SECONDS_MAX = 60.0
ENROLMENT = b'{"nothing": "of use"}'


def logged(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text("utf-8").splitlines() if line.startswith("{")]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not true():
            await asyncio.wait([asyncio.ensure_future(run("true"))])


async def reloaded(server: Aggregator) -> dict[str, Any]:
    """Send SIGHUP; give the line of the log that it led to."""
    return await reloaded_process(server.process.process, server.process.log)


async def reloaded_process(process: asyncio.subprocess.Process | Forked, log: Path) -> dict[str, Any]:
    def said() -> list[dict[str, Any]]:
        return [one for one in logged(log) if one["logger"] == "whence_aggregator.settings.reload"]

    before = len(said())
    process.send_signal(signal.SIGHUP)
    await until(lambda: len(said()) > before)
    return said()[-1]


def change(config: Path, **settings: object) -> None:
    config.write_text(json.dumps({**json.loads(config.read_text()), **settings}))


def secured(url: str, certificates: Certificates) -> tuple[str, ssl.SSLContext]:
    context = ssl.create_default_context(cafile=str(certificates.authority))
    context.check_hostname = False
    return url.replace("http://", "https://"), context


async def serial(url: str, context: ssl.SSLContext, name: str | None) -> bytes:
    """Return the certificate that a new connection is shown, with or without a server's name."""
    host, port = url.removeprefix("https://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=name or "")
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    assert isinstance(shown, bytes)
    return shown


@pytest.fixture(scope="module")
async def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return await loopback_certificates(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
async def renewed(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return await loopback_certificates(tmp_path_factory.mktemp("second"))


@pytest.fixture
async def server(
    tmp_path: Path, authority: SigningAuthority, certificates: Certificates
) -> AsyncIterator[tuple[Aggregator, Certificates]]:
    """An aggregator with TLS whose certificate files are its own."""
    own = Certificates(certificates.authority, tmp_path / "server.pem", tmp_path / "server.key")
    install(certificates, own)
    tls: dict[str, Any] = {"tls_certificate_file": str(own.certificate), "tls_key_file": str(own.key)}
    tls["registry_front"] = {"name": "pierone.example.org", "backend": "http://127.0.0.1:1"}
    async with aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, **tls) as running:
        yield running, own


def install(made: Certificates, own: Certificates) -> None:
    shutil.copy(made.certificate, own.certificate)
    shutil.copy(made.key, own.key)


async def test_a_reload_takes_a_renewed_certificate_and_loses_no_request(
    server: tuple[Aggregator, Certificates], certificates: Certificates, renewed: Certificates
) -> None:
    running, own = server
    url, context = secured(running.url, certificates)
    _, new_context = secured(running.url, renewed)
    statuses: list[int] = []
    ended = asyncio.Event()

    async def ask_on() -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            while not ended.is_set():
                async with session.get(url + "/health") as answer:
                    statuses.append(answer.status)

    asking = [asyncio.create_task(ask_on()) for _ in range(4)]
    await until(lambda: len(statuses) > 10)
    before = {await serial(url, context, name) for name in (None, "localhost")}
    install(renewed, own)
    assert (await reloaded(running))["restart_needed_for"] == []
    after = {await serial(url, new_context, name) for name in (None, "localhost")}
    count = len(statuses)
    await until(lambda: len(statuses) > count + 10)
    ended.set()
    await asyncio.gather(*asking)
    assert (len(before), len(after), before & after) == (1, 1, set())
    assert set(statuses) == {200}


async def test_a_wrong_file_changes_nothing_and_is_logged_with_its_place(
    server: tuple[Aggregator, Certificates], certificates: Certificates, renewed: Certificates
) -> None:
    running, own = server
    url, context = secured(running.url, certificates)
    tokens, config = running.config.parent / "tokens", running.config
    good = {path: path.read_bytes() for path in (own.certificate, own.key, tokens, config)}
    shown = await serial(url, context, None)
    wrong: list[tuple[Path, bytes, str]] = [
        (own.key, renewed.key.read_bytes(), str(own.key)),
        (own.certificate, b"", str(own.certificate)),
        (tokens, b"\n\nnot a token\n", f"{tokens}:3"),
        (config, good[config] + b"\nunknown: 1\n", str(config)),
        (config, b"audience: x\naccounts: ['1']\n", "accounts"),
        (config, b"\xff", "UTF-8"),
    ]
    headers = {"Authorization": f"Bearer {running.token}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        for path, content, says in wrong:
            path.write_bytes(content)
            said = await reloaded(running)
            assert (said["level"], says in said["error"]) == ("error", True), said
            assert await serial(url, context, None) == shown
            async with session.get(url + "/v1/summary", headers=headers) as answer:
                assert answer.status == 200
            path.write_bytes(good[path])
        own.key.unlink()
        assert "error" in await reloaded(running)
    own.key.write_bytes(good[own.key])
    assert (await reloaded(running))["level"] == "info"


async def test_a_reload_applies_what_it_can_and_names_what_needs_a_restart(
    server: tuple[Aggregator, Certificates], certificates: Certificates
) -> None:
    running, _ = server
    url, context = secured(running.url, certificates)
    other = running.config.parent / "other-tokens"
    text = (await run(BIN / "whence-aggregator", "token", "ada", "--file", other)).strip()
    limits = {"challenges_per_address": 0.0001}
    change(running.config, tokens_file=str(other), limits=limits, silent_after_seconds=400, listen_port=1)
    said = await reloaded(running)
    assert said["restart_needed_for"] == ["listen_port", "silent_after_seconds"]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        for token, status in ((running.token, 401), (text, 200)):
            async with session.get(url + "/v1/summary", headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == status
        body = {"team_id": "hello", "name": "Greeter", "active": True}
        async with session.put(url + "/apps/greeter", json=body, headers={"Authorization": f"Bearer {text}"}) as answer:
            assert answer.status == 403
        headers = {"Authorization": f"Bearer {text}"}
        async with session.post(url + "/v2/hello/app/blobs/uploads/", headers=headers) as answer:
            assert (answer.status, (await answer.json())["errors"][0]["code"]) == (403, "DENIED")
        challenged = []
        for _ in range(12):
            async with session.post(url + "/v1/challenges") as answer:
                challenged.append(answer.status)
        assert challenged[-1] == 429


async def test_a_revoked_token_is_refused_without_a_signal(tmp_path: Path, authority: SigningAuthority) -> None:
    async with (
        aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as running,
        running.session() as session,
    ):
        await run(BIN / "whence-aggregator", "token", "revoke", "demo", "--file", running.config.parent / "tokens")
        async with asyncio.timeout(SECONDS_MAX):
            while True:
                async with session.get(running.url + "/v1/summary") as answer:
                    if answer.status == 401:
                        break


@pytest.fixture
async def draining(tmp_path: Path, authority: SigningAuthority) -> AsyncIterator[Aggregator]:
    pem = {"eu-central-1": authority.pem}
    async with aggregator(tmp_path, tmp_path, authority_pem=pem, drain_seconds=300) as running:
        yield running


async def not_ready(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """Wait until /ready fails; give its problem."""
    async with asyncio.timeout(SECONDS_MAX):
        while True:
            async with session.get(url + "/ready") as answer:
                if answer.status == 503:
                    document: dict[str, Any] = await answer.json(content_type=None)
                    return document


async def test_a_stop_fails_ready_first_and_a_second_one_ends_at_once(draining: Aggregator) -> None:
    process = draining.process.process
    async with draining.session() as session:
        async with session.get(draining.url + "/v1/summary") as answer:
            assert "Connection" not in answer.headers
        process.terminate()
        assert (await not_ready(session, draining.url))["code"] == "draining"
        for path, status in (("/v1/summary", 200), ("/health", 200), ("/nothing", 404)):
            async with session.get(draining.url + path) as answer:
                assert (answer.status, answer.headers["Connection"]) == (status, "close")
    process.terminate()
    async with asyncio.timeout(15):
        assert await process.wait() == 0


async def test_a_hangup_while_draining_ends_nothing(draining: Aggregator) -> None:
    process = draining.process.process
    async with aiohttp.ClientSession() as session:
        process.terminate()
        await not_ready(session, draining.url)
        process.send_signal(signal.SIGHUP)
        async with session.get(draining.url + "/health") as answer:
            assert answer.status == 200
    assert process.returncode is None
    process.terminate()
    await process.wait()


async def test_a_second_stop_does_not_wait_for_a_body_that_stalls(draining: Aggregator) -> None:
    process = draining.process.process
    _, writer = await begin(draining, 1000)
    process.terminate()
    await until(lambda: any(one["event"] == "stopping" for one in logged(draining.process.log)))
    process.terminate()
    async with asyncio.timeout(15):
        assert await process.wait() == 0
    writer.close()


async def begin(running: Aggregator, length: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin a request whose body is on its way."""
    host, port = running.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /v1/enrolments HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    writer.write(head.encode() + ENROLMENT[:5])
    await writer.drain()
    return reader, writer


async def test_a_body_under_way_is_finished_before_the_process_ends(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    pem = {"eu-central-1": authority.pem}
    async with aggregator(tmp_path, tmp_path, authority_pem=pem, drain_seconds=0.2) as running:
        reader, writer = await begin(running, len(ENROLMENT))
        async with aiohttp.ClientSession() as session:
            async with session.get(running.url + "/health") as answer:
                assert answer.status == 200
            running.process.process.terminate()
            with suppress(aiohttp.ClientError):
                async with asyncio.timeout(SECONDS_MAX):
                    while True:  # until nobody listens any more
                        async with session.get(running.url + "/health"):
                            pass
        assert running.process.process.returncode is None
        writer.write(ENROLMENT[5:])
        answered = await asyncio.wait_for(reader.read(), SECONDS_MAX)
        assert answered.startswith(b"HTTP/1.1 400 "), answered
        assert b"X-Request-Id" in answered
        async with asyncio.timeout(SECONDS_MAX):
            assert await running.process.process.wait() == 0
        writer.close()


async def test_the_witness_is_reloaded_and_drains_too(
    tmp_path: Path, certificates: Certificates, renewed: Certificates
) -> None:
    own = Certificates(certificates.authority, tmp_path / "server.pem", tmp_path / "server.key")
    install(certificates, own)
    config, port = tmp_path / "witness.yaml", tmp_path / "port"
    settings = {
        "name": "witness.example.org", "log_keys": [str(Signer("log.example.org", b"l" * 32, LOG).verifier)],
        "state_directory": str(tmp_path), "listen_port": 0, "drain_seconds": 300,
        "tls_certificate_file": str(own.certificate), "tls_key_file": str(own.key),
    }  # fmt: skip
    config.write_text(json.dumps(settings))

    async def ready() -> bool:
        return port.exists()

    command = [BIN / "whence-aggregator", "witness", "--config", config, "--port-file", port]
    async with started("witness", command, logs=tmp_path, ready=ready) as process:
        url, context = secured(f"http://127.0.0.1:{port.read_text().strip()}", renewed)
        install(renewed, own)
        assert (await reloaded_process(process.process, process.log))["restart_needed_for"] == []
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            async with session.get(url + "/ready") as answer:
                assert answer.status == 200
            process.process.terminate()
            assert (await not_ready(session, url))["code"] == "draining"
        process.process.terminate()
        async with asyncio.timeout(15):
            assert await process.process.wait() == 0
