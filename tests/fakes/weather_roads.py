"""The roads beside HTTP that weather closes: the engine's socket, the name server, the disk of the agent's state."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fakes.weather import Fault

_FILL_BYTES = 4096


class EngineRoad:
    """A Unix socket before the engine's. While it is away, connections are cut, as they are when an engine restarts."""

    def __init__(self, path: Path, engine: str) -> None:
        self._path = path
        self._engine = engine.removeprefix("unix://")
        self._how = ""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.AbstractServer | None = None
        self._carriers: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Give the URL of the socket."""
        try:
            await self._listen()
            yield f"unix://{self._path}"
        finally:
            self._close()
            await self._cut()

    async def begin(self, fault: Fault) -> None:
        self._how = fault.how
        if fault.how == "silence":
            self._flowing.clear()
            return
        if fault.how in ("refuse", "missing"):
            self._close()
        if fault.how == "missing":
            self._path.unlink()
        await self._cut()

    async def end(self, fault: Fault) -> None:
        self._how = ""
        self._flowing.set()
        await self._listen()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_unix_server(self._connected, self._path)
            self._path.chmod(0o666)

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _cut(self) -> None:
        for task in self._carriers:
            task.cancel()
        await asyncio.gather(*self._carriers, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._carriers.add(task)
        far: asyncio.StreamWriter | None = None
        try:
            if self._how == "reset":
                return
            far_reader, far = await asyncio.open_unix_connection(self._engine)
            there = asyncio.create_task(self._carry(reader, far))
            self._carriers.add(there)
            there.add_done_callback(self._carriers.discard)
            await self._carry(far_reader, writer)
            there.cancel()
        except (OSError, asyncio.CancelledError):
            pass  # cut; a connection ends here and nowhere else
        finally:
            self._carriers.discard(task)
            for one in (writer, far):
                if one is not None:
                    one.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while content := await reader.read(65_536):
                await self._flowing.wait()
                writer.write(content)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()


class NameServer(asyncio.DatagramProtocol):
    """A name server for one machine: every name is on loopback, unless there is weather (RFC 1035)."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._how = ""

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[NameServer]:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.address, 53))
        try:
            yield self
        finally:
            transport.close()

    async def begin(self, fault: Fault) -> None:
        self._how = fault.how

    async def end(self, fault: Fault) -> None:
        self._how = ""

    def connection_made(self, transport: asyncio.transports.DatagramTransport) -> None:  # type: ignore[override]  # a datagram's
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._how != "silence" and len(data) > 12:
            self._transport.sendto(self._answer(data), addr)

    def _answer(self, query: bytes) -> bytes:
        ends = query.index(b"\0", 12) + 5
        question, wants_ipv4 = query[12:ends], query[ends - 4 : ends - 2] == b"\0\1"
        code = {"no-such-name": 3, "server-failure": 2}.get(self._how, 0)
        found = wants_ipv4 and code == 0
        head = query[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, int(found), 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton("127.0.0.1")
        return head + question + (record if found else b"")


class SmallDisk:
    """A file system that is full for a while: something beside the agent fills it to the last byte."""

    def __init__(self, directory: Path) -> None:
        self._filler = directory / "filler"

    async def begin(self, fault: Fault) -> None:
        with self._filler.open("wb", buffering=0) as stream, suppress(OSError):
            while True:
                stream.write(os.urandom(_FILL_BYTES))

    async def end(self, fault: Fault) -> None:
        self._filler.unlink(missing_ok=True)
