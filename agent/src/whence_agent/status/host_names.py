"""Which Host a request may have. Pure.

A web page in a browser can resolve its own name to this machine (DNS rebinding) and read the endpoint; its requests
then have the page's name as Host. Addresses, and the names that EC2 assigns to instances, cannot be rebound.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address

_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})
_EC2_NAME = re.compile(
    r"(?:ip-[0-9-]{7,15}|i-[0-9a-f]{8,17})\.(?:ec2|[a-z0-9-]{1,30}\.compute)\.internal\Z|"
    r"ec2-[0-9-]{7,15}\.(?:compute-1|[a-z0-9-]{1,30}\.compute)\.amazonaws\.com(?:\.cn)?\Z"
)
"""The names in EC2's console: by private address, by instance id, by public address."""


def is_own_host(stated: list[str], *, names: Collection[str]) -> bool:
    """Return whether the Host headers of a request name this machine.

    `names` are the machine's own and those of the settings. A request without Host is HTTP/1.0, which no browser sends.
    """
    if not stated:
        return True
    host = _without_port(stated[0].strip().lower())
    if len(stated) > 1 or host is None:
        return False
    own = host in _LOOPBACK_NAMES or host in {name.lower() for name in names}
    return own or _EC2_NAME.match(host) is not None or _is_address(host)


def _without_port(authority: str) -> str | None:
    """Return the host of `host`, `host:port` or `[address]:port`; None for any other form."""
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        port = port.removeprefix(":") if port.startswith(":") else port and "x"
        return host if bracket and host and (not port or port.isdigit()) else None
    host, colon, port = authority.partition(":")
    return host.removesuffix(".") if host and (not colon or (port.isascii() and port.isdigit())) else None


def _is_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
