"""The network of one booted machine: a namespace with loopback and 169.254.169.254, and nothing of this machine.

Sockets are made inside and served from here, so that services on this machine's loopback are reachable there without a
route: who relays is this process.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from landscape.processes import NotReady, free_port, run

METADATA_ADDRESS = "169.254.169.254"
RESOLVER_ADDRESS = "169.254.169.253"
_CLONE_NEWNET = 0x40000000  # sched.h; os.setns comes with Python 3.12
_IP_FREEBIND = 15  # linux/in.h: the address may come later
_CHUNK_BYTES = 65_536


class InstanceNetwork:
    """A network namespace; `path` is what systemd-nspawn and nsenter take."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = Path("/run/netns") / name
        self._inside = ThreadPoolExecutor(max_workers=1, initializer=self._enter)
        self._servers: list[asyncio.Server] = []
        self._relays: set[asyncio.Task[None]] = set()

    def _enter(self) -> None:
        with self.path.open("rb") as stream:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(stream.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter {self.path}")

    async def made(self, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        """Return a socket that belongs to the namespace."""
        made = await asyncio.get_running_loop().run_in_executor(
            self._inside, lambda: socket.socket(socket.AF_INET, kind)
        )
        made.setblocking(False)
        return made

    async def bound(self, address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        """Return a socket that is bound there, also where nobody has the address yet."""
        made = await self.made(kind)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        made.bind((address, port))
        return made

    async def run(self, *command: str) -> str:
        """Run a command in the namespace, with this machine's files."""
        return await run("ip", "netns", "exec", self.name, *command)

    async def appear(self, *addresses: str) -> None:
        """Plug the machine in, and have the link-local addresses that EC2 serves answer."""
        with suppress(NotReady):  # it may be plugged in already
            await self.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far0")
            await self.run("ip", "link", "set", "far0", "up")
        for address in addresses or (METADATA_ADDRESS, RESOLVER_ADDRESS):
            await self.run("ip", "address", "add", f"{address}/32", "dev", "lo")

    async def show(self, port: int) -> None:
        """Have a loopback port of this machine answer at the same loopback port inside."""

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection("127.0.0.1", port)

        await self._serve(await self.bound("127.0.0.1", port), connect)

    async def reach(self, port: int) -> str:
        """Have a loopback port inside answer at a free one of this machine; give its URL."""

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            made = await self.made()
            try:
                await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
            except OSError:
                made.close()
                raise
            return await asyncio.open_connection(sock=made)

        own = socket.socket()
        outside = free_port()
        own.bind(("127.0.0.1", outside))
        await self._serve(own, connect)
        return f"http://127.0.0.1:{outside}"

    async def _serve(
        self,
        listening: socket.socket,
        connect: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]],
    ) -> None:
        async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._relays.add(task)
            try:
                # cancelled by `close` only; asyncio's server reports a cancelled connection as an error
                with suppress(OSError, asyncio.CancelledError):
                    far_reader, far_writer = await connect()
                    await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
            finally:
                writer.close()
                self._relays.discard(task)

        self._servers.append(await asyncio.start_server(accepted, sock=listening))

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._relays):
            task.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)
        self._inside.shutdown()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                writer.write(chunk)
                await writer.drain()
    finally:
        writer.close()


@asynccontextmanager
async def instance_network(name: str = "") -> AsyncIterator[InstanceNetwork]:
    """Make a network with nothing but loopback; `appear` adds EC2's addresses. Needs root."""
    name = name or f"whence-{os.getpid()}-{free_port()}"
    await run("ip", "netns", "add", name)
    network = InstanceNetwork(name)
    try:
        await network.run("ip", "link", "set", "lo", "up")
        yield network
    finally:
        await network.close()
        await run("ip", "netns", "delete", name)
