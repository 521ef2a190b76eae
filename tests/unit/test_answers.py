"""Answers of other servers are read whole, however many pieces they come in, and no further than their bound."""

from __future__ import annotations

import asyncio

import aiohttp

from whence_aggregator.adapters.answers import read_answer


async def read(first: bytes, rest: bytes, *, bytes_max: int = 10) -> bytes | None:
    """Read an answer whose rest leaves once its first piece is being read."""
    begun = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(first + rest) + first)
        await begun.wait()
        writer.write(rest)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:
        port = server.sockets[0].getsockname()[1]
        async with session.get(f"http://127.0.0.1:{port}/") as given:
            reading = asyncio.create_task(read_answer(given, bytes_max))
            await asyncio.wait([reading], timeout=0.05)
            begun.set()
            return await reading


async def test_pieces_are_one_answer() -> None:
    assert await read(b'{"uid"', b":1}") == b'{"uid":1}'


async def test_nothing_is_an_answer_too() -> None:
    assert await read(b"", b"") == b""


async def test_an_answer_ends_at_its_bound() -> None:
    assert await read(b"x" * 5, b"x" * 5) == b"x" * 10
    assert await read(b"x" * 5, b"x" * 6) is None
