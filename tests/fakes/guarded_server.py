"""Our HTTP server in this process, with bounds that a test sets, and clients from several addresses of loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from aiohttp import web

from whence_aggregator.callers.trusted_proxies import TrustedProxies
from whence_aggregator.http.connections import ConnectionBounds
from whence_aggregator.http.refused import RefusedCounts, RefusedKind
from whence_aggregator.http.server import Server
from whence_common.runtime.pause import pause


@dataclass
class GuardedServer:
    """`refused` counts what it refused."""

    port: int
    refused: RefusedCounts
    stack: AsyncExitStack

    async def connect(self, address: str = "127.0.0.1", **options: object) -> Client:
        """Connect from an address of loopback."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(address, 0), limit=1024, **options  # type: ignore[arg-type]  # passed on
        )  # fmt: skip
        self.stack.callback(writer.close)
        return Client(reader, writer)

    async def counted(self, kind: RefusedKind, least: int = 1) -> None:
        """Wait until so many of a kind were refused."""
        async with asyncio.timeout(20.0):
            while self.refused.all()[kind] < least:
                await pause(0.01)


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, content: bytes) -> None:
        with suppress(ConnectionError):
            self.writer.write(content)

    async def ask(self, path: str, headers: str = "") -> bytes:
        """Ask for a path; give the body of the answer, which is one line without its end."""
        self.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{headers}\r\n".encode())
        return (await self.answered())[1]

    async def answered(self) -> tuple[bytes, bytes]:
        """Read head and body of an answer with Content-Length."""
        async with asyncio.timeout(20.0):
            head = await self.reader.readuntil(b"\r\n\r\n")
            lines = [line.lower() for line in head.split(b"\r\n")]
            length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
            return head, await self.reader.readexactly(length)

    async def ended(self) -> None:
        """Read on until the server ends the connection."""
        async with asyncio.timeout(20.0):
            with suppress(ConnectionError):
                while await self.reader.read(65536):
                    pass


@asynccontextmanager
async def guarded_server(
    routes: Iterable[web.RouteDef],
    *,
    bounds: ConnectionBounds | None = None,
    proxies: TrustedProxies | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[GuardedServer]:
    """Run it for the block's duration."""
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    refused = RefusedCounts()
    server = Server(
        routes=routes, sign_in=None, address="127.0.0.1", port=0, tls=tls, listening=listening.set_result,
        bounds=bounds, proxies=proxies, refused=refused,
    )  # fmt: skip
    running = asyncio.create_task(server.run())
    try:
        async with AsyncExitStack() as stack:
            yield GuardedServer(await listening, refused, stack)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
