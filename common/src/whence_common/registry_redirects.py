"""Where a request goes that a registry redirects, and to which addresses. No I/O is done here: adapters look names up.

What a name resolves to is checked, and the connection goes to the address that was checked: the next lookup may differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

from whence_common.registry_address import (
    REDIRECTS,
    RedirectRefused,
    RegistryPlace,
    check_addresses,
    is_named,
    redirected,
)

REDIRECTS_MAX = 5
ADDRESSES_TRIED_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """How an address that was checked is asked under the name that it was found by."""

    url: str
    host: str
    """For the Host header."""
    server_hostname: str | None
    """For TLS; None without it."""


def as_named(url: str) -> Pinned:
    """Return how to ask a URL whose host the settings name: at whatever address its name has."""
    return Pinned(url=url, host=urlsplit(url).netloc, server_hostname=None)


def pinned(url: str, address: str) -> Pinned:
    """Return how to ask exactly this address for a URL."""
    parts = urlsplit(url)
    literal = f"[{address}]" if ":" in address else address
    port = f":{parts.port}" if parts.port is not None else ""
    return Pinned(
        url=urlunsplit(parts._replace(netloc=f"{literal}{port}")),
        host=parts.netloc,
        server_hostname=parts.hostname if parts.scheme == "https" else None,
    )


def is_own(place: RegistryPlace, url: str) -> bool:
    """Return whether a URL that came from the registry is at one of its hosts, whose addresses are not checked."""
    return is_named(urlsplit(url).netloc, place.own_hosts | place.blob_hosts)


def checked(place: RegistryPlace, url: str, addresses: Iterable[str], own: Iterable[str]) -> list[Pinned]:
    """Return how to ask a URL that came from the registry: at addresses that were checked. Raises RedirectRefused.

    `own` are the addresses of the registry itself.
    """
    found = list(dict.fromkeys(addresses))
    check_addresses(place, url, found, own)
    return [pinned(url, one) for one in found[:ADDRESSES_TRIED_MAX]]


def next_hop(place: RegistryPlace, url: str, status: int, location: str, *, followed: int) -> str:
    """Return where the answer from `url` redirects to; empty where it is the last. Raises RedirectRefused.

    `followed` is the number of redirects that led to `url`.
    """
    if status not in REDIRECTS:
        return ""
    if followed >= REDIRECTS_MAX:
        raise RedirectRefused("registry-redirects", f"{place.registry} redirects without end", retryable=False)
    return redirected(place, url, location)
