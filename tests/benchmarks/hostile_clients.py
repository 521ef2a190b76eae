"""The floods of the hostile benchmark, in a process of their own: `python -m benchmarks.hostile_clients '{"port": …}'`.

They come from the same address as the fleet, as those of a compromised instance behind the same NAT do. Rates are set, so that
what is measured is what the server does about them, and not who gets the two cores of a small machine.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from contextlib import suppress
from dataclasses import dataclass

from whence_common.runtime.pause import pause

STALLED_AT_ONCE = 100
STALLED_BYTES = 250_000
SLOW_READERS_AT_ONCE = 256
REPLAYED_BEATS_A_SECOND = 100
REPLAYED_STATEMENTS_A_SECOND = 20
POISONED_STATEMENTS_A_SECOND = 40
ANONYMOUS_A_SECOND = 50
_AGAIN_SECONDS = 4.0


@dataclass(frozen=True)
class Target:
    """What the flood has: an address, a read token, a blob, and what it captured."""

    port: int
    token: str
    blob: str
    beat: str
    mac: str
    statements: list[str]
    poisoned: list[str]


async def flood(target: Target) -> None:
    """Run all floods until this process is ended."""
    async with asyncio.TaskGroup() as group:
        for number in range(STALLED_AT_ONCE):
            group.create_task(_again_and_again(_stall, target, number / 100))
        for number in range(SLOW_READERS_AT_ONCE):
            group.create_task(_again_and_again(_read_nothing, target, number / 100))
        beat, mac = target.beat.encode(), f"Whence-MAC: {target.mac}\r\n"
        group.create_task(_post_often(target, "/v1/heartbeats", [beat], mac, REPLAYED_BEATS_A_SECOND))
        for contents, rate in (
            (target.statements, REPLAYED_STATEMENTS_A_SECOND),
            (target.poisoned, POISONED_STATEMENTS_A_SECOND),
        ):
            decoded = [base64.b64decode(one) for one in contents]
            group.create_task(_post_often(target, "/v1/statements", decoded, "", rate))
        group.create_task(_post_often(target, "/v1/nowhere/" + "x" * 7_000, [b"{}"], "", ANONYMOUS_A_SECOND))


async def _again_and_again(work, target: Target, after: float) -> None:  # type: ignore[no-untyped-def]  # a coroutine function
    await pause(after + 0.001)
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            await work(target)
        await pause(_AGAIN_SECONDS)


async def _stall(target: Target) -> None:
    """Send most of a statement, and wait until the server has had enough."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
    try:
        head = f"POST /v1/statements HTTP/1.1\r\nHost: a\r\nContent-Length: {STALLED_BYTES + 1000}\r\n\r\n"
        writer.write(head.encode() + b"x" * STALLED_BYTES)
        while await reader.read(65_536):
            pass
    finally:
        writer.transport.abort()


async def _read_nothing(target: Target) -> None:
    """Ask for a layer, and read so little of it that the server cannot send the rest."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=1024)
    try:
        head = f"GET {target.blob} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {target.token}\r\n\r\n"
        writer.write(head.encode())
        if b" 200 " in await reader.readline():
            await pause(60.0)
    finally:
        writer.transport.abort()


async def _post_often(target: Target, path: str, bodies: list[bytes], headers: str, per_second: int) -> None:
    """Post bodies in turn on one connection, whatever is answered; connect again when it is closed."""
    number = 0
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", target.port)
            try:
                while True:
                    body = bodies[number % len(bodies)]
                    number += 1
                    head = f"POST {path} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
                    writer.write(head.encode() + body)
                    await _answered(reader)
                    await pause(1 / per_second)
            finally:
                writer.transport.abort()
        await pause(0.1)


async def _answered(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    await reader.readexactly(int(length.split(b":")[1]))


if __name__ == "__main__":
    asyncio.run(flood(Target(**json.loads(sys.argv[1]))))
