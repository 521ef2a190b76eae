"""Floods against a whole aggregator: its log, its memory and its lists stay bounded, and memory is given back."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from fakes.signing_authority import SigningAuthority
from landscape.certificates import loopback_certificates
from landscape.programs import Aggregator, aggregator
from whence_common.runtime.pause import pause

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
async def server(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aggregator]:
    directory = tmp_path_factory.mktemp("flooded")
    limits = {"application_bytes_per_caller": 1e9, "application_bytes_per_team": 1e9, "challenges_per_address": 0.01}
    async with aggregator(
        directory, directory, authority_pem={"eu-central-1": authority.pem}, limits=limits,
        trusted_proxies=["127.0.0.0/8"],
    ) as running:  # fmt: skip
        yield running


def resident_bytes(server: Aggregator) -> int:
    status = Path(f"/proc/{server.process.process.pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


async def connect(server: Aggregator, stack: AsyncExitStack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"))
    stack.callback(writer.close)
    return reader, writer


async def test_two_thousand_anonymous_requests_are_a_few_lines_of_log(server: Aggregator) -> None:
    before = server.process.log.stat().st_size
    async with aiohttp.ClientSession(headers={"X-Forwarded-For": "192.0.2.66"}) as session:
        for _ in range(2_000):
            async with session.get(f"{server.url}/v1/instances/{'x' * 7_000}") as answer:
                assert answer.status == 401
    assert server.process.log.stat().st_size - before < 128 * 1024
    refused = [json.loads(line) for line in server.process.log.read_text(encoding="utf-8").splitlines()]
    assert {one["address"] for one in refused if one["event"] == "refused"} == {"192.0.2.66"}


async def test_clients_that_go_away_within_their_bodies_leave_no_traceback(server: Aggregator) -> None:
    before = server.process.log.stat().st_size
    for _ in range(20):
        async with AsyncExitStack() as stack:
            _, writer = await connect(server, stack)
            writer.write(b"POST /v1/statements HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nx")
            await writer.drain()
    async with aiohttp.ClientSession() as session, session.get(server.url + "/health") as answer:
        assert answer.status == 200
    said = server.process.log.read_text(encoding="utf-8")[before:]
    assert "Traceback" not in said
    assert "error" not in said


async def test_the_challenges_of_one_client_behind_a_proxy_are_limited_and_not_its_neighbours(
    server: Aggregator,
) -> None:
    async def ask(client: str) -> int:
        headers = {"X-Forwarded-For": client}
        async with session.post(server.url + "/v1/challenges", data=b"{}", headers=headers) as answer:
            return answer.status

    async with aiohttp.ClientSession() as session:
        assert [await ask("192.0.2.1") for _ in range(12)] == [201] * 10 + [429] * 2
        assert await ask("192.0.2.2") == 201
        assert [await ask(f"2001:db8::{number}") for number in range(1, 12)] == [201] * 10 + [429]
        assert await ask("2001:db8:0:1::1") == 201


async def test_stalled_bodies_take_bounded_memory_and_it_is_given_back(server: Aggregator) -> None:
    before, body = resident_bytes(server), b"x" * 250_000
    async with AsyncExitStack() as stack:
        for number in range(1_200):
            reader, writer = await connect(server, stack)
            client = f"X-Forwarded-For: 192.0.2.{number % 4}\r\n"
            head = f"POST /v1/statements HTTP/1.1\r\nHost: a\r\n{client}Content-Length: 262144\r\n\r\n"
            writer.write(head.encode() + body)
            reader.feed_eof()
        async with aiohttp.ClientSession() as session, session.get(server.url + "/health") as answer:
            assert answer.status == 200
        assert resident_bytes(server) - before < 128 * MEGABYTE, "300 MB were sent"
    async with asyncio.timeout(60.0):
        while resident_bytes(server) - before > 32 * MEGABYTE:
            await pause(0.2)


async def test_a_list_of_many_large_records_is_sent_piece_by_piece(server: Aggregator) -> None:
    text = "x" * 50_000
    for number in range(220):
        record = {"team_id": "hello", "name": "Greeter", "active": number != 7, "description": text}
        assert await server.put(f"/apps/app-{number:03d}", record) == 200
    before = resident_bytes(server)
    async with (
        server.session() as session,
        session.get(server.url + "/apps") as answer,
    ):
        assert answer.headers["Transfer-Encoding"] == "chunked"
        found = json.loads(await answer.read())
    assert [one["id"] for one in found] == [f"app-{number:03d}" for number in range(220)]
    assert resident_bytes(server) - before < 32 * MEGABYTE
    assert [one["id"] for one in await server.get("/apps", active="false")] == ["app-007"]
    assert await server.get("/apps", team_id="nobody") == []


async def test_handshakes_that_never_end_leave_files_for_the_database(
    authority: SigningAuthority, tmp_path: Path
) -> None:
    certificates = await loopback_certificates(tmp_path)
    async with (
        aggregator(
            tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, within=("prlimit", "--nofile=200"),
            tls_certificate_file=str(certificates.certificate), tls_key_file=str(certificates.key),
        ) as server,
        AsyncExitStack() as stack,
    ):  # fmt: skip
        for _ in range(400):
            await connect(server, stack)
        trusted = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(certificates.authority)))
        url = server.url.replace("http://", "https://")
        async with aiohttp.ClientSession(connector=trusted) as session:
            for _ in range(3):
                async with session.get(f"{url}/ready", headers={"Connection": "close"}) as answer:
                    assert answer.status == 200
        assert "unable to open" not in server.process.log.read_text(encoding="utf-8")
