"""A TCP road to a server that can be blocked: connections stay open, and nothing comes through any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class HangingRoad:
    """Carries bytes both ways while `open` is set."""

    def __init__(self, host: str, port: int) -> None:
        self._place = host, port
        self.open = asyncio.Event()
        self.open.set()
        self.port = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[HangingRoad]:
        tasks: set[asyncio.Task[None]] = set()

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while content := await reader.read(65536):
                    await self.open.wait()
                    writer.write(content)
                    await writer.drain()
            writer.close()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self.open.wait()
            far_reader, far_writer = await asyncio.open_connection(*self._place)
            for one in (carry(reader, far_writer), carry(far_reader, writer)):
                tasks.add(asyncio.create_task(one))

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
