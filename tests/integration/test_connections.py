"""Connections: one that asks nothing is closed, one that rests between requests is not, and a fleet's are all taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from fakes.signing_authority import SigningAuthority
from landscape.programs import aggregator
from whence_aggregator.http.bodies import JsonResponse
from whence_aggregator.http.connections import ConnectionBounds
from whence_aggregator.http.server import Server

ASKED = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
SILENT_SECONDS_MAX = 0.3


async def healthy(_: web.Request) -> JsonResponse:
    return JsonResponse(b"{}")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Run a server whose patience is short."""
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = Server(
        routes=[web.get("/health", healthy)],
        sign_in=None,
        address="127.0.0.1",
        port=0,
        tls=None,
        listening=listening.set_result,
        bounds=ConnectionBounds(silent_seconds_max=SILENT_SECONDS_MAX),
    )
    running = asyncio.create_task(server.run())
    yield await listening
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("said", [b"", b"G", b"GET /health HTTP/1.1\r\nHost: a\r\n"])
async def test_a_connection_without_a_request_is_closed(port: int, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    assert await asyncio.wait_for(reader.read(), 10.0) == b""
    writer.close()


async def test_one_that_has_asked_may_rest(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASKED)
    first = await reader.readuntil(b"{}")
    silent, other = await asyncio.open_connection("127.0.0.1", port)
    assert await asyncio.wait_for(silent.read(), 10.0) == b""
    writer.write(ASKED)
    assert (await reader.readuntil(b"{}"))[:15] == first[:15] == b"HTTP/1.1 200 OK"
    writer.close()
    other.close()


async def test_more_connections_are_taken_than_a_process_is_given_at_first(
    tmp_path: Path, authority: SigningAuthority
) -> None:
    within = ("prlimit", "--nofile=64:4096")
    pem = {"eu-central-1": authority.pem}
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(aggregator(tmp_path, tmp_path, authority_pem=pem, within=within))
        for _ in range(200):
            _, writer = await asyncio.open_connection(*server.url.removeprefix("http://").split(":"))
            stack.callback(writer.close)
        async with aiohttp.ClientSession() as session, session.get(server.url + "/health") as answer:
            assert answer.status == 200
