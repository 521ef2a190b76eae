"""A time server that always has this machine's time: answers of NTP version 4 over UDP (RFC 5905)."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

_PACKET = struct.Struct(">BBbbIIIQQQQ")
_VERSION_4_SERVER = 4 << 3 | 4
_STRATUM, _POLL, _PRECISION = 1, 4, -20
_EPOCH_SECONDS = 2_208_988_800
"""From 1900, where NTP begins to count, to 1970."""


class _TimeServer(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) < _PACKET.size:
            return
        sent_by_client = int.from_bytes(data[40:48])
        now = int((time.time() + _EPOCH_SECONDS) * 2**32)
        self._transport.sendto(
            _PACKET.pack(
                _VERSION_4_SERVER, _STRATUM, _POLL, _PRECISION, 0, 0, int.from_bytes(b"AMZN"),
                now, sent_by_client, now, now,
            ),
            addr,
        )  # fmt: skip


@asynccontextmanager
async def time_server(bound: socket.socket) -> AsyncIterator[None]:
    """Answer on a bound UDP socket for the block's duration."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(_TimeServer, sock=bound)
    try:
        yield
    finally:
        transport.close()
