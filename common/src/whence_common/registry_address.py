"""Where a registry is reached and where it may send its clients. No I/O is done here: adapters look addresses up.

A redirect comes from outside. It is followed to public hosts over TLS, and never with the registry's credentials.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urljoin, urlsplit

from whence_common.errors import RoadError, one_line
from whence_common.image_reference import is_loopback_registry
from whence_common.loose_json import loose

REDIRECTS = (301, 302, 303, 307, 308)
REDIRECTS_MAX = 5
_REFERRERS_CLOSED = (*REDIRECTS, 400, 401, 403, 404, 405, 406, 410, 415, 501)
"""What registries without the referrers API answer to it."""
_URL_CHARACTERS_MAX = 16 * 1024
_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_TOKEN_HOSTS = {"registry-1.docker.io": "auth.docker.io", "registry.gitlab.com": "gitlab.com"}
_ECR = re.compile(
    r"[0-9]{12}\.dkr(?:\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.(?:com(?:\.cn)?|eu)|-ecr(?:-fips)?\.([a-z0-9-]+)\.on\.aws)\Z"
)
_NUMERIC = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*\.?\Z", re.IGNORECASE)
_EC2_IPV6 = ipaddress.ip_network("fd00:ec2::/32")
Kind = Literal["public", "private", "link-local", "loopback"]


class RedirectRefused(RoadError):
    """A registry sends its clients where we do not go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A registry: the name that images have, whether it has no TLS, and the other hosts that belong to it."""

    registry: str
    plain_http: bool = False
    token_hosts: frozenset[str] = frozenset()
    """Hosts that may see its credentials to give a token for them."""
    blob_hosts: frozenset[str] = frozenset()
    """Hosts with private addresses that its blobs may be redirected to."""

    @property
    def plain(self) -> bool:
        return self.plain_http or is_loopback_registry(self.registry)

    @property
    def host(self) -> str:
        """Return the host, with its port, that the API is at: Docker Hub's is not the one that images name."""
        return "registry-1.docker.io" if self.registry in _HUB else self.registry

    @property
    def origin(self) -> str:
        return f"{'http' if self.plain else 'https'}://{self.host}"

    @property
    def own_hosts(self) -> frozenset[str]:
        return frozenset({self.host, _TOKEN_HOSTS.get(self.host, self.host)}) | self.token_hosts

    def path(self, path: str) -> str:
        """Return a repository's path in the API: Docker Hub keeps single names below library/."""
        return f"library/{path}" if self.registry in _HUB and "/" not in path else path


def ecr_region(registry: str) -> str | None:
    """Return the region of one of Amazon's private registries; None for any other host."""
    match = _ECR.match(registry)
    return (match[1] or match[2]) if match is not None else None


def kind_of(address: str) -> Kind:
    """Say which kind of network an IP address is in. Raises ValueError."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped if mapped is not None else parsed
    if parsed.is_loopback or parsed.is_unspecified:
        return "loopback"
    if parsed.is_link_local or (parsed.version == 6 and parsed in _EC2_IPV6):
        return "link-local"  # the metadata service is here, in both versions
    return "public" if parsed.is_global and not parsed.is_multicast else "private"


def redirected(place: Place, url: str, location: str) -> str:
    """Return the URL that a redirect leads to. Raises RedirectRefused; a name's addresses are checked later."""
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
        _ = parts.port
    except ValueError:
        target, parts = "", urlsplit("")
    if urlsplit(url).scheme == "https" and parts.scheme == "http":
        raise _refused(place, parts.hostname or "", "over plain HTTP")
    if (
        not location or parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None
        or len(target) > _URL_CHARACTERS_MAX
    ):  # fmt: skip
        raise _refused(place, parts.hostname or "", "with a URL that is not usable")
    literal = _literal(parts.hostname)
    if literal is not None:
        check_addresses(place, target, [literal], _literals(place))
    return target


def check_addresses(place: Place, url: str, addresses: Iterable[str], own: Iterable[str]) -> None:
    """Check the addresses behind a URL against those of the registry itself (`own`). Raises RedirectRefused.

    Public addresses are allowed; others only where the registry is itself, or where the settings name the host.
    """
    parts = urlsplit(url)
    if parts.netloc in place.blob_hosts | {place.host}:
        return
    allowed: set[Kind] = {"public", *(kind_of(one) for one in own)}
    if "loopback" in allowed:
        allowed.add("private")
    kinds = {kind_of(one) for one in addresses} - allowed
    if kinds:
        raise _refused(place, parts.hostname or "", f"which has a {min(kinds)} address")


def referrers_closed(status: int, content: bytes) -> bool:
    """Say whether a registry has no referrers API by what it answered there: then its fallback tag is read."""
    return status in _REFERRERS_CLOSED or (status == 200 and not isinstance(loose(content).get("manifests"), list))


def same_origin(place: Place, url: str) -> bool:
    """Say whether a URL is at the registry itself, where its credentials may be shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" == place.origin


def _literal(host: str) -> str | None:
    """Return the address that a host name is; numbers that only some resolvers read count as this machine."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        local = host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost") or _NUMERIC.match(host)
        return "127.0.0.1" if local else None


def _literals(place: Place) -> list[str]:
    literal = _literal(urlsplit(place.origin).hostname or "")
    return [literal] if literal is not None else []


def _refused(place: Place, host: str, why: str) -> RedirectRefused:
    return RedirectRefused(
        "registry-redirect",
        f"{place.registry} redirects to {one_line(host, 80) or 'no host'} {why}, which is refused",
        retryable=False,
        fix=f"if that host belongs to the registry, add it to blob_hosts of {place.registry}"
        if "address" in why
        else "the registry's owner must correct it",
    )
