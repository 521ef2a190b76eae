"""The PROXY protocol, versions 1 and 2, by HAProxy's specification: the client's address before its first byte.

The header is read from the socket to its last byte and no further, so that TLS may begin right after it.
"""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address

from whence_aggregator.callers.trusted_proxies import parse_address
from whence_common.errors import InputError

HEADER_SECONDS_MAX = 5.0
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_BYTES_MAX = 107
_V2_BYTES_MAX = 1024
"""Bound of what follows the first 16 bytes: addresses, and TLVs, which are ignored."""
_INET, _INET6, _UNIX = 1, 2, 3
_ADDRESSES_BYTES = {_INET: 12, _INET6: 36, _UNIX: 216}


class ProxyHeaderInvalid(InputError):
    """A trusted proxy did not begin its connection with a PROXY header."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "proxy-header",
            message,
            fix="have the proxy send the PROXY protocol, or set client_address_from: x-forwarded-for",
        )


async def read_client(connection: socket.socket) -> str | None:
    """Read the header; return the client's address, or None without one. Raises ProxyHeaderInvalid."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(HEADER_SECONDS_MAX):
            head = await _exactly(loop, connection, len(_SIGNATURE))
            if head == _SIGNATURE:
                fixed = await _exactly(loop, connection, 4)
                length = int.from_bytes(fixed[2:])
                if length > _V2_BYTES_MAX:
                    raise ProxyHeaderInvalid(f"a PROXY header of {length} bytes is too long")
                return parse_v2(fixed, await _exactly(loop, connection, length))
            if not head.startswith(b"PROXY "):
                raise ProxyHeaderInvalid("a connection from a trusted proxy does not begin with a PROXY header")
            line = bytearray(head)
            while not line.endswith(b"\r\n"):
                if len(line) >= _V1_BYTES_MAX:
                    raise ProxyHeaderInvalid(f"a PROXY header without an end within {_V1_BYTES_MAX} bytes")
                line += await _exactly(loop, connection, 1)
            return parse_v1(bytes(line))
    except TimeoutError as exc:
        raise ProxyHeaderInvalid(f"no PROXY header within {HEADER_SECONDS_MAX:g} seconds") from exc


def parse_v1(line: bytes) -> str | None:
    """Parse `PROXY TCP4 192.0.2.7 192.0.2.1 40000 443`, with its line end. Raises ProxyHeaderInvalid."""
    parts = line.removesuffix(b"\r\n").decode("latin-1").split(" ")
    if parts[:2] == ["PROXY", "UNKNOWN"]:
        return None
    kinds: dict[str, type[IPv4Address | IPv6Address]] = {"TCP4": IPv4Address, "TCP6": IPv6Address}
    if len(parts) != 6 or parts[1] not in kinds or not all(_is_port(one) for one in parts[4:]):
        raise ProxyHeaderInvalid("a PROXY header of version 1 is malformed")
    try:
        return _text(kinds[parts[1]](parts[2]))
    except ValueError as exc:
        raise ProxyHeaderInvalid("a PROXY header of version 1 is malformed") from exc


def parse_v2(fixed: bytes, rest: bytes) -> str | None:
    """Parse version and command, family and transport, length; and what follows them. Raises ProxyHeaderInvalid."""
    version, command, family = fixed[0] >> 4, fixed[0] & 0x0F, fixed[1] >> 4
    if version != 2 or command > 1 or len(rest) < (_ADDRESSES_BYTES.get(family, 0) if command == 1 else 0):
        raise ProxyHeaderInvalid("a PROXY header of version 2 is malformed")
    if command == 0 or family not in (_INET, _INET6):
        return None  # a health check of the proxy's own, or a client without an IP address
    return _text(IPv4Address(rest[:4]) if family == _INET else IPv6Address(rest[:16]))


def _text(address: IPv4Address | IPv6Address) -> str:
    return str(parse_address(str(address)))


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and int(text) < 65536


async def _exactly(loop: asyncio.AbstractEventLoop, connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = await loop.sock_recv(connection, size - len(received))
        if not chunk:
            raise ProxyHeaderInvalid("a connection from a trusted proxy ended within its PROXY header")
        received += chunk
    return bytes(received)
