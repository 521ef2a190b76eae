"""A name server that knows some names: A records over UDP (RFC 1035), NXDOMAIN for others."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

_ANSWER, _NO_SUCH_NAME = 0x8180, 0x8183
_A = 1
_POINTER_TO_QUESTION = 0xC00C
_SECONDS = 5


class _NameServer(asyncio.DatagramProtocol):
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode("ascii"))
            at += 1 + data[at]
        question = data[12 : at + 5]
        (kind,) = struct.unpack_from(">H", data, at + 1)
        known = self._names.get(".".join(labels).lower())
        found = b""
        if known is not None and kind == _A:
            address = ipaddress.IPv4Address(known).packed
            found = struct.pack(">HHHIH", _POINTER_TO_QUESTION, _A, 1, _SECONDS, len(address)) + address
        flags = _NO_SUCH_NAME if known is None else _ANSWER
        head = data[:2] + struct.pack(">HHHHH", flags, 1, 1 if found else 0, 0, 0)
        self._transport.sendto(head + question + found, addr)


@asynccontextmanager
async def name_server(bound: socket.socket, names: Mapping[str, str]) -> AsyncIterator[None]:
    """Answer on a bound UDP socket for the block's duration."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: _NameServer(names), sock=bound)
    try:
        yield
    finally:
        transport.close()
