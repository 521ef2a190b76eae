"""Which proxy a request to a URL uses, if any. Pure.

The metadata service, the credential service for containers and loopback never use one: a proxy would reach its own.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from whence_common.errors import one_line
from whence_common.image_reference import is_host

_PORTS = {"http": 80, "https": 443}
_EC2_IPV6 = ipaddress.ip_network("fd00:ec2::/32")
_ENTRY = re.compile(r"[A-Za-z0-9_.*:\[\]/-]{1,255}\Z")
_NETWORK = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The proxy for each scheme, and the hosts that are reached directly. URLs may contain a password: not in repr."""

    https: str = field(default="", repr=False)
    http: str = field(default="", repr=False)
    no_proxy: tuple[str, ...] = ()

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Proxies:
        """Read the variables as curl and Go do, lower case first; a proxy without scheme is an HTTP proxy."""
        https, http, no_proxy = (
            environment.get(name.lower()) or environment.get(name, "")
            for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
        )
        hosts = tuple(re.split(r"[,\s]+", no_proxy.strip()))
        return cls(https=_with_scheme(https), http=_with_scheme(http), no_proxy=hosts)

    def __bool__(self) -> bool:
        return bool(self.https or self.http)

    def url_for(self, url: str) -> str:
        """Return the URL of the proxy for a URL, with its credentials; empty if the URL is reached directly."""
        parts = urlsplit(url)
        proxy = {"https": self.https, "http": self.http}.get(parts.scheme, "")
        host = (parts.hostname or "").rstrip(".").lower()
        if not proxy or not host or _is_local(host):
            return ""
        port = parts.port or _PORTS[parts.scheme]
        return "" if any(_matches(entry, host, port) for entry in self.no_proxy) else proxy


def find_errors(proxies: Proxies, name: str) -> Iterator[str]:
    """Yield the errors in proxies; `name` is the setting or the environment. They never contain a password."""
    for key in ("https", "http"):
        url = getattr(proxies, key)
        if not url:
            continue
        try:
            parts = urlsplit(url)
            right = parts.scheme in ("http", "https") and _is_host_port(parts.netloc.rpartition("@")[2])
            right = right and parts.path in ("", "/") and not parts.query and not parts.fragment
        except ValueError:
            right = False
        if not right:
            yield f"{name}.{key} must be an http or https URL of a host, with its port: http://proxy.example.org:3128"
    for entry in proxies.no_proxy:
        if entry and not _ENTRY.match(entry):
            yield f"{name}.no_proxy: {one_line(entry, 60)!r} is not a host, a domain, an address, a network or *"


def with_login(url: str, user: str, password: str) -> str:
    """Return a proxy's URL with these credentials in place of its own; an empty URL is returned unchanged."""
    if not url:
        return ""
    parts = urlsplit(url)
    return parts._replace(
        netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
    ).geturl()


def passwords(proxies: Proxies) -> Iterator[str]:
    """Yield the passwords in the URLs, as written and decoded, for the redactor."""
    for url in (proxies.https, proxies.http):
        if written := urlsplit(url).password:
            yield from (written, unquote(written))


def _is_host_port(netloc: str) -> bool:
    address, bracket, port = netloc.removeprefix("[").partition("]")
    if netloc.startswith("[") and bracket:
        placed = not port or (port.startswith(":") and is_host(f"x{port}"))
        return placed and ":" in address and _network(address) is not None
    return is_host(netloc)


def _with_scheme(url: str) -> str:
    url = url.strip()
    return url if not url or "://" in url else f"http://{url}"


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_link_local or address.is_unspecified or address in _EC2_IPV6


def _matches(entry: str, host: str, port: int) -> bool:
    """Return whether an entry of NO_PROXY matches a host. A domain matches its subdomains too."""
    entry = entry.strip().lower()
    if not entry:
        return False
    if entry == "*":
        return True
    network = _network(entry)
    if network is None:
        entry, _, named = _split(entry)
        if named and named != str(port):
            return False
        network = _network(entry)
    if network is not None:
        try:
            return ipaddress.ip_address(host) in network
        except ValueError:
            return False
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _split(entry: str) -> tuple[str, str, str]:
    """Split `host:port` or `[address]:port`."""
    if entry.startswith("["):
        inside, bracket, rest = entry[1:].partition("]")
        return inside, bracket, rest.removeprefix(":")
    return entry.partition(":")


def _network(text: str) -> _NETWORK | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
