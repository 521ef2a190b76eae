"""Redirects of a registry: the next URL and the addresses to connect to. No I/O is done here: adapters resolve names.

The resolved addresses are checked, and the connection uses a checked address, since a later lookup may differ.
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
    """A request to a checked address, with the host name that resolved to it."""

    url: str
    host: str
    """For the Host header."""
    server_hostname: str | None
    """For TLS; None without it."""


def as_named(url: str) -> Pinned:
    """Return the request for a URL whose host the settings name: its address is not restricted."""
    return Pinned(url=url, host=urlsplit(url).netloc, server_hostname=None)


def pinned(url: str, address: str) -> Pinned:
    """Return the request for a URL at exactly this address."""
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
    """Return requests for a URL that came from the registry, one for each checked address. Raises RedirectRefused.

    `own` are the addresses of the registry itself.
    """
    found = list(dict.fromkeys(addresses))
    check_addresses(place, url, found, own)
    return [pinned(url, one) for one in found[:ADDRESSES_TRIED_MAX]]


def next_hop(place: RegistryPlace, url: str, status: int, location: str, *, followed: int) -> str:
    """Return where the response from `url` redirects to; empty if it is not a redirect. Raises RedirectRefused.

    `followed` is the number of redirects that led to `url`.
    """
    if status not in REDIRECTS:
        return ""
    if followed >= REDIRECTS_MAX:
        raise RedirectRefused(
            "registry-redirects", f"{place.registry} redirects more than {REDIRECTS_MAX} times", retryable=False
        )
    return redirected(place, url, location)
