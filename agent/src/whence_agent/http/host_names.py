"""Which Host a request may name. Pure.

A page in somebody's browser can have its own name lead here (DNS rebinding) and read what the endpoint shows; its
requests then name that page's host, not this machine.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address

_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "127.0.0.1", "::1"})


def is_own_host(stated: list[str], *, names: Collection[str], reached: str) -> bool:
    """Return whether the Host headers of a request name this machine.

    `names` are the machine's own and those of the settings, `reached` is the address that the connection came to.
    Without a Host the request is of HTTP/1.0, which no browser sends.
    """
    if not stated:
        return True
    host = _without_port(stated[0].strip().lower())
    if len(stated) > 1 or host is None:
        return False
    return host in _LOOPBACK_NAMES or host in {name.lower() for name in names} or _same_address(host, reached)


def _without_port(authority: str) -> str | None:
    """Return the host of `host`, `host:port` or `[address]:port`; None where it is none of these."""
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        port = port.removeprefix(":") if port.startswith(":") else port and "x"
        return host if bracket and host and (not port or port.isdigit()) else None
    host, colon, port = authority.partition(":")
    return host.removesuffix(".") if host and (not colon or (port.isascii() and port.isdigit())) else None


def _same_address(host: str, reached: str) -> bool:
    try:
        return _plain(host) == _plain(reached.partition("%")[0])
    except ValueError:
        return False


def _plain(address: str) -> IPv4Address | IPv6Address:
    """Read an address; one of IPv4 within IPv6 is the former. Raises ValueError."""
    found = ip_address(address)
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
