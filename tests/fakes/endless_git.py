"""A Git server by smart HTTP, protocol 2, whose answers do not end: refs, packs, objects, progress, keep-alives."""

from __future__ import annotations

import itertools
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Literal

from aiohttp import web

from fakes.loopback import loopback

HEAD = "1" * 40
Endless = Literal["refs", "objects", "one object", "count", "progress", "keep-alives", "sections"]


def packet(content: bytes) -> bytes:
    """Return a pkt-line."""
    return b"%04x" % (len(content) + 4) + content


def _object(content: bytes) -> bytes:
    """Return a blob of up to 15 bytes, as a pack has it."""
    return bytes([0x30 | len(content)]) + zlib.compress(content)


def _band(number: int, content: bytes) -> bytes:
    return packet(bytes([number]) + content)


def _pack(kind: Endless) -> Iterator[bytes]:
    yield packet(b"packfile\n")
    stated = {"objects": 500_000, "one object": 1}.get(kind, 2**31 - 1)
    begin = b"PACK" + (2).to_bytes(4, "big") + stated.to_bytes(4, "big")
    if kind in ("objects", "count"):
        yield _band(1, begin)
        for number in itertools.count():
            yield b"".join(_band(1, _object(b"%d" % one)) for one in range(number * 500, number * 500 + 500))
    if kind == "one object":
        grow = zlib.compressobj(0)
        yield _band(1, begin + b"\xb0\xff\xff\xff\xff\xff\x7f" + grow.compress(b"x"))
        while True:
            yield _band(1, grow.compress(b"x" * 60_000) + grow.flush(zlib.Z_SYNC_FLUSH))
    while True:
        yield (_band(2, b"remote: \x1b[2J counting\r") if kind == "progress" else _band(1, b"")) * 100


def _refs() -> Iterator[bytes]:
    yield packet(f"{HEAD} HEAD symref-target:refs/heads/main\n".encode())
    for number in itertools.count():
        yield b"".join(packet(f"{HEAD} refs/heads/b{number}-{one}\n".encode()) for one in range(500))


def _sections() -> Iterator[bytes]:
    while True:
        yield (packet(b"shallow-info\n") + packet(f"shallow {HEAD}\n".encode()) + b"0001") * 500


def _answer(kind: Endless, body: bytes) -> Iterator[bytes]:
    if b"command=ls-refs" in body:
        if kind == "refs":
            yield from _refs()
        yield packet(f"{HEAD} HEAD symref-target:refs/heads/main\n".encode())
        yield packet(f"{HEAD} refs/heads/main\n".encode()) + b"0000"
    elif kind == "sections":
        yield from _sections()
    else:
        yield from _pack(kind)


@asynccontextmanager
async def endless_git(kind: Endless) -> AsyncIterator[str]:
    """Serve on a loopback port for the block's duration; yield host:port."""

    async def refs(request: web.Request) -> web.Response:
        lines = [b"version 2\n", b"ls-refs=unborn\n", b"fetch=shallow filter wait-for-done\n", b"object-format=sha1\n"]
        content = packet(b"# service=git-upload-pack\n") + b"0000" + b"".join(map(packet, lines)) + b"0000"
        return web.Response(body=content, content_type="application/x-git-upload-pack-advertisement")

    async def pack(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/x-git-upload-pack-result"})
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, 31)
        await answer.prepare(request)
        try:
            for part in _answer(kind, body):
                await answer.write(part)
        except ConnectionError:
            pass
        return answer

    application = web.Application()
    application.router.add_get("/{path:.*}/info/refs", refs)
    application.router.add_post("/{path:.*}/git-upload-pack", pack)
    async with loopback(application) as host:
        yield host
