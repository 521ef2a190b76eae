"""A registry's address, and the addresses that it may redirect to. No I/O is done here: adapters resolve names.

Redirects are untrusted. They are followed to public hosts over TLS, and never with the registry's credentials.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urljoin, urlsplit

from whence_common.errors import RoadError, one_line
from whence_common.image_reference import (
    DOCKER_HUB,
    DOCKER_HUB_HOST,
    is_loopback_registry,
    registry_name,
    registry_path,
)

REDIRECTS = (301, 302, 303, 307, 308)
_URL_CHARACTERS_MAX = 16 * 1024
_TOKEN_HOSTS = {DOCKER_HUB_HOST: "auth.docker.io", "registry.gitlab.com": "gitlab.com"}
_ECR = re.compile(
    r"[0-9]{12}\.dkr(?:\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.(?:com(?:\.cn)?|eu)|-ecr(?:-fips)?\.([a-z0-9-]+)\.on\.aws)\Z"
)
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*\.?\Z", re.IGNORECASE)
_EC2_IPV6 = ipaddress.ip_network("fd00:ec2::/32")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are the IPv4 address that a translator connects to."""
_VISIBLE = re.compile(r"[\x21-\x7e]+\Z")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_.])?(?::[0-9]{1,5})?\Z")
"""Underscores are allowed because old S3 buckets have them."""
_PORTS = {"http": 80, "https": 443}
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressKind = Literal["public", "private", "link-local", "loopback"]
Lookup = Callable[[str], Awaitable[list[str]]]
"""Returns the addresses of a host. Raises OSError."""


class RedirectRefused(RoadError):
    """A registry's redirect leads to an address that is not allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPlace:
    """A registry: its name in image references, whether it is reached without TLS, and its other hosts."""

    registry: str
    plain_http: bool = False
    token_hosts: frozenset[str] = frozenset()
    """Hosts that may receive its credentials in exchange for a token."""
    blob_hosts: frozenset[str] = frozenset()
    """Hosts with private addresses that its blobs may be redirected to."""

    @property
    def plain(self) -> bool:
        return self.plain_http or is_loopback_registry(self.registry)

    @property
    def host(self) -> str:
        """Return the API's host, with its port; Docker Hub's differs from the host in image references."""
        return DOCKER_HUB_HOST if registry_name(self.registry) == DOCKER_HUB else self.registry

    @property
    def origin(self) -> str:
        return f"{'http' if self.plain else 'https'}://{self.host}"

    @property
    def own_hosts(self) -> frozenset[str]:
        return frozenset({self.host, _TOKEN_HOSTS.get(self.host, self.host)}) | self.token_hosts

    def path(self, path: str) -> str:
        """Return a repository's path in the API: on Docker Hub, a single name is below library/."""
        return registry_path(self.registry, path)


def ecr_region(registry: str) -> str | None:
    """Return the region of a private ECR registry; None for any other host."""
    match = _ECR.match(registry)
    return (match[1] or match[2]) if match is not None else None


def kind_of(address: str) -> AddressKind:
    """Return the kind of network that an IP address is in. Raises ValueError."""
    parsed = _embedded(ipaddress.ip_address(address.partition("%")[0]))
    if parsed.is_loopback or parsed.is_unspecified:
        return "loopback"
    if parsed.is_link_local or (parsed.version == 6 and parsed in _EC2_IPV6):
        return "link-local"  # the metadata service is here, in both versions
    return "public" if parsed.is_global and not parsed.is_multicast and not parsed.is_reserved else "private"


def redirected(place: RegistryPlace, url: str, location: str) -> str:
    """Return the URL that a redirect leads to. Raises RedirectRefused; resolved addresses are checked later."""
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        _ = parts.port
    except ValueError:
        target, parts = "", urlsplit("")
    if urlsplit(url).scheme == "https" and parts.scheme == "http":
        raise _refused(place, parts.hostname or "", "over plain HTTP")
    if not location or not is_usable_url(target):
        raise _refused(place, parts.hostname or "", "with an invalid URL")
    literal = _literal(parts.hostname or "")
    if literal is not None:
        check_addresses(place, target, [literal], _literals(place))
    return target


def is_usable_url(url: str) -> bool:
    """Return whether a URL from outside is unambiguous: every parser finds the same host in it."""
    try:
        parts = urlsplit(url)
        port_is_valid = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return (
        parts.scheme in _PORTS and port_is_valid and parts.username is None and parts.password is None
        and (_HOST.match(parts.netloc) is not None or _is_ipv6(parts.hostname or ""))
        and len(url) <= _URL_CHARACTERS_MAX and _VISIBLE.match(url) is not None
    )  # fmt: skip


def check_addresses(place: RegistryPlace, url: str, addresses: Iterable[str], own: Iterable[str]) -> None:
    """Check the addresses behind a URL against those of the registry itself (`own`). Raises RedirectRefused.

    Public addresses are allowed at the scheme's port. Other addresses and ports are allowed only if the settings name
    the host, or if address and port are the registry's own.
    """
    parts = urlsplit(url)
    if is_named(parts.netloc, place.blob_hosts | {place.host}):
        return
    found, port = {_embedded(ipaddress.ip_address(one.partition("%")[0])) for one in addresses}, _port(url)
    itself = {_embedded(ipaddress.ip_address(one.partition("%")[0])) for one in own}
    if found and found <= itself and port == _port(place.origin):
        return
    kinds = {kind_of(str(one)) for one in found} - {"public"}
    if kinds or not found:
        raise _refused(place, parts.hostname or "", f"which has a {min(kinds) if kinds else 'missing'} address")
    if port != _PORTS.get(parts.scheme):
        raise _refused(place, parts.netloc, f"whose address has the port {port}")


def check_by_proxy(place: RegistryPlace, url: str) -> None:
    """Check a URL that is requested through a proxy, which resolves the name itself. Raises RedirectRefused.

    Other ports are allowed only for hosts that the settings name, and an IP address in the URL must be public.
    """
    parts = urlsplit(url)
    literal = _literal(parts.hostname or "")
    if literal is not None:
        check_addresses(place, url, [literal], _literals(place))
    elif _port(url) != _PORTS.get(parts.scheme):
        raise _refused(place, parts.netloc, f"whose address has the port {_port(url)}")


def is_named(netloc: str, hosts: Iterable[str]) -> bool:
    """Return whether a URL's host, with its port, is among hosts."""
    return netloc.lower() in {one.lower() for one in hosts}


def same_origin(place: RegistryPlace, url: str) -> bool:
    """Return whether a URL is at the registry itself, which may receive its credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" == place.origin


def _embedded(address: _Address) -> _Address:
    """Return the IPv4 address in an IPv6 address (mapped, NAT64, 6to4, Teredo), or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo is not None else None) or address


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6 and "%" not in host
    except ValueError:
        return False


def _port(url: str) -> int | None:
    parts = urlsplit(url)
    return parts.port or _PORTS.get(parts.scheme)


def _literal(host: str) -> str | None:
    """Return a host's IP address if it is one, else None; numeric forms that some resolvers accept are loopback."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        local = host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost") or _NUMERIC.match(host)
        return "127.0.0.1" if local else None


def _literals(place: RegistryPlace) -> list[str]:
    literal = _literal(urlsplit(place.origin).hostname or "")
    return [literal] if literal is not None else []


def _refused(place: RegistryPlace, host: str, why: str) -> RedirectRefused:
    return RedirectRefused(
        "registry-redirect",
        f"{place.registry} redirects to {one_line(host, 80) or 'no host'} {why}, which is refused",
        retryable=False,
        fix=f"if that host belongs to the registry, add it to blob_hosts of {place.registry} (token_hosts for tokens)"
        if "address" in why
        else "the registry's owner must correct it",
    )
