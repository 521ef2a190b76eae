"""The status endpoint's connections: bounded in number and in time, so that nobody on the machine takes the agent's files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest

from fakes.clocks import FakeClock
from whence_agent.http.status_app import CONNECTION_SECONDS_MAX, CONNECTIONS_MAX, StatusEndpoint
from whence_agent.progress import Progress
from whence_agent.redaction import Redactor

ASKED = b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
async def port(request: pytest.FixtureRequest) -> AsyncIterator[int]:
    """Run an endpoint; a marked test says how patient it is."""
    progress = Progress(now=FakeClock(), monotonic=lambda: 0.0, boot_id="b", started_at="")
    endpoint = StatusEndpoint(
        progress=progress,
        redactor=Redactor(),
        address="127.0.0.1",
        port=0,
        connection_seconds_max=getattr(request, "param", CONNECTION_SECONDS_MAX),
    )
    running = asyncio.create_task(endpoint.run())
    await asyncio.wait_for(endpoint.listening.wait(), 10.0)
    yield endpoint.port
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("port", [0.1], indirect=True)
@pytest.mark.parametrize("said", [b"", b"G", b"GET /status HTTP/1.1\r\nHost: a\r\n"])
async def test_a_connection_that_asks_nothing_is_closed(port: int, said: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    assert await asyncio.wait_for(reader.read(), 10.0) == b""
    writer.close()


async def test_one_too_many_is_closed_at_once_and_those_before_are_answered(port: int) -> None:
    async with AsyncExitStack() as stack:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
        for _, writer in held:
            stack.callback(writer.close)
        for reader, writer in held:
            writer.write(ASKED)
            assert (await asyncio.wait_for(reader.readline(), 10.0)).startswith(b"HTTP/1.1 503")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        assert await asyncio.wait_for(reader.read(), 10.0) == b""


@pytest.mark.parametrize("port", [0.5], indirect=True)
async def test_when_its_time_is_over_there_is_room_for_the_next(port: int) -> None:
    async with AsyncExitStack() as stack:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(CONNECTIONS_MAX)]
        for reader, writer in held:
            stack.callback(writer.close)
            assert await asyncio.wait_for(reader.read(), 10.0) == b""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        writer.write(ASKED)
        assert (await asyncio.wait_for(reader.readline(), 10.0)).startswith(b"HTTP/1.1 503")
