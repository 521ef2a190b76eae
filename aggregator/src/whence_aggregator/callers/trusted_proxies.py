"""Whose word counts for where a request comes from.

What a peer says of others counts only when the peer is a trusted proxy. IPv6 counts by /64: one customer has that many.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from whence_common.errors import InputError

HOPS_MAX = 32
"""Hops that are looked at, from the right; more are nobody's proxies."""
_IPV6_PREFIX_BITS = 64
Address = IPv4Address | IPv6Address
AddressFrom = Literal["x-forwarded-for", "proxy-protocol"]


class ProxiesInvalid(InputError):
    """The setting trusted_proxies cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedProxies:
    """The networks whose hosts are believed when they say for whom they forward, and how they say it."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    told_by: AddressFrom = "x-forwarded-for"

    @classmethod
    def parse(cls, texts: Sequence[str], told_by: AddressFrom = "x-forwarded-for") -> TrustedProxies:
        """Raises ProxiesInvalid for what is not a network in CIDR form, or is everybody."""
        networks = []
        for text in texts:
            try:
                network = ipaddress.ip_network(text)
            except ValueError as exc:
                fix = "write it like 10.0.0.0/16 or 2001:db8::/56"
                raise ProxiesInvalid("proxies-invalid", f"trusted_proxies: {exc}", fix=fix) from exc
            if network.prefixlen == 0:
                fix = "name the networks of your load balancers only"
                raise ProxiesInvalid("proxies-invalid", f"trusted_proxies: {text} would trust everybody", fix=fix)
            networks.append(network)
        return cls(networks=tuple(networks), told_by=told_by)

    def trusts(self, address: str) -> bool:
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self.networks)

    def client(self, peer: str, forwarded_for: Sequence[str]) -> str:
        """Return the client's address: the right-most hop that no trusted proxy is, else the peer.

        A hop that cannot be read ends the walk: the client is then the trusted proxy that wrote it.
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
    """Return what is wrong in the setting."""
    try:
        TrustedProxies.parse(texts)
    except ProxiesInvalid as exc:
        return [exc.diagnostics()]
    return []


def limit_name(address: str) -> str:
    """Return the address itself, of IPv6 its /64."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, _IPV6_PREFIX_BITS), strict=False))
    return str(parsed) if parsed is not None else address


def parse_address(text: str) -> Address | None:
    """Parse an address; one of IPv4 in IPv6's form is one of IPv4. None where it is not an address."""
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped if mapped is not None else parsed


def _parse_hop(text: str) -> Address | None:
    """Parse a hop as proxies write them: an address, in brackets or not, with its port or without."""
    hop = text.strip()
    if hop.startswith("["):
        inner, closed, rest = hop[1:].partition("]")
        return parse_address(inner) if closed and (not rest or rest.startswith(":")) else None
    if hop.count(":") == 1:
        hop = hop.partition(":")[0]
    return parse_address(hop) if len(hop) <= 45 else None
