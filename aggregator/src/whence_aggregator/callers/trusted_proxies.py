"""Determines the client's address of a request that was forwarded by proxies.

Forwarding headers are used only if the peer is a trusted proxy. Limits count IPv6 addresses by /64, because a single
customer is assigned at least that many.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from whence_common.errors import InputError

HOPS_MAX = 32
"""The hops that are read, from the right; real chains of proxies are shorter."""
_IPV6_PREFIX_BITS = 64
Address = IPv4Address | IPv6Address
AddressFrom = Literal["x-forwarded-for", "proxy-protocol"]


class ProxiesInvalid(InputError):
    """The setting `trusted_proxies` is invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedProxies:
    """The networks of trusted proxies, and the way in which they state the client's address."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    told_by: AddressFrom = "x-forwarded-for"

    @classmethod
    def parse(cls, texts: Sequence[str], told_by: AddressFrom = "x-forwarded-for") -> TrustedProxies:
        """Parse networks in CIDR form. Raises ProxiesInvalid for one that is malformed or contains every address."""
        networks = []
        for text in texts:
            try:
                network = ipaddress.ip_network(text)
            except ValueError as exc:
                fix = "write it like 10.0.0.0/16 or 2001:db8::/56"
                raise ProxiesInvalid("proxies-invalid", f"trusted_proxies: {exc}", fix=fix) from exc
            if network.prefixlen == 0:
                fix = "list only the networks of your load balancers"
                raise ProxiesInvalid("proxies-invalid", f"trusted_proxies: {text} contains every address", fix=fix)
            networks.append(network)
        return cls(networks=tuple(networks), told_by=told_by)

    def trusts(self, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self.networks)

    def client(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Return the client's address: the right-most hop that is not a trusted proxy, or the left-most hop.

        Returns the peer's address if the peer is not trusted, or no hop is stated. A malformed hop ends the search; the
        client is then the trusted proxy that added it.
        """
        address = peer
        if self.told_by != "x-forwarded-for" or not self.trusts(peer):
            return address
        hops = [hop for header in forwarded_for[-HOPS_MAX:] for hop in header.rsplit(",", HOPS_MAX)[-HOPS_MAX:]]
        for hop in reversed(hops[-HOPS_MAX:]):
            parsed = _parse_hop(hop)
            if parsed is None:
                break
            address = str(parsed)
            if not self.trusts(address):
                break
        return address


def wrong_in_proxies(texts: Sequence[str]) -> list[str]:
    """Return the problems of the setting."""
    try:
        TrustedProxies.parse(texts)
    except ProxiesInvalid as exc:
        return [exc.diagnostics()]
    return []


def limit_name(address: str) -> str:
    """Return the name by which limits count an address: itself, or the /64 of an IPv6 address."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, _IPV6_PREFIX_BITS), strict=False))
    return str(parsed) if parsed is not None else address


def parse_address(text: str) -> Address | None:
    """Parse an address; an IPv4-mapped IPv6 address becomes IPv4. Return None if it is malformed."""
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped if mapped is not None else parsed


def _parse_hop(text: str) -> Address | None:
    """Parse a hop of X-Forwarded-For: an address, optionally in brackets, optionally with a port."""
    hop = text.strip()
    if hop.startswith("["):
        inner, closed, rest = hop[1:].partition("]")
        return parse_address(inner) if closed and (not rest or rest.startswith(":")) else None
    if hop.count(":") == 1:
        hop = hop.partition(":")[0]
    return parse_address(hop) if len(hop) <= 45 else None
