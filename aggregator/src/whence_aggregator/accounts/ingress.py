"""Rules of a security group for what may connect: as single rules, and grouped as states have them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from whence_aggregator.accounts.canonical import canonical_json
from whence_aggregator.accounts.resources import Json

KMS_GROUP = "KMS VPC Endpoint"
"""Name of the group of the endpoint of KMS, as Seven Seconds made it."""
TRUSTED_LISTS = {4: "trusted-networks", 6: "trusted-networks-ipv6"}
"""Names of the prefix lists of the trusted networks, by version of IP."""
_NAMES = {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6", "all": "-1"}
WITH_PORTS = ("tcp", "udp", "icmp", "icmpv6")
"""Protocols whose rules have ports, or ICMP types; AWS opens all ports for every other protocol."""


class IngressRule(NamedTuple):
    """One rule. `source` is a network or the id of a prefix list, or a reference to that list."""

    protocol: str
    from_port: int | None
    to_port: int | None
    source: Json

    @property
    def is_network(self) -> bool:
        return isinstance(self.source, str) and "/" in self.source

    @property
    def key(self) -> str:
        return canonical_json(list(self))


def rule(protocol: str, from_port: int | None, to_port: int | None, source: Json) -> IngressRule:
    """Return a rule in one form: protocols by name, and ports only where the protocol has any."""
    name = _NAMES.get(protocol.lower(), protocol.lower())
    return (
        IngressRule(name, from_port, to_port, source) if name in WITH_PORTS else IngressRule(name, None, None, source)
    )


def grouped(rules: Iterable[IngressRule]) -> list[Json]:
    """Return rules by protocol and ports, each once, in one order."""
    groups: dict[str, dict[str, list[Json]]] = {}
    heads: dict[str, tuple[str, int | None, int | None]] = {}
    for one in sorted({each.key: each for each in rules}.values(), key=lambda each: each.key):
        head = canonical_json(list(one[:3]))
        heads[head] = one[:3]
        sources = groups.setdefault(head, {"networks": [], "prefix_lists": []})
        sources["networks" if one.is_network else "prefix_lists"].append(one.source)
    return [
        {"protocol": heads[head][0], "from_port": heads[head][1], "to_port": heads[head][2], **groups[head]}
        for head in sorted(groups)
    ]


def flattened(groups: Json) -> list[IngressRule]:
    """Return the single rules of what `grouped` returned, also when it was read from a plan."""
    found = []
    for group in groups if isinstance(groups, Sequence) else ():
        assert isinstance(group, Mapping)
        for source in [*_listed(group["networks"]), *_listed(group["prefix_lists"])]:
            found.append(rule(str(group["protocol"]), _port(group["from_port"]), _port(group["to_port"]), source))
    return found


def in_words(one: IngressRule) -> str:
    ports = (
        ""
        if one.from_port is None
        else f" {one.from_port}"
        if one.from_port == one.to_port
        else (f" {one.from_port}-{one.to_port}")
    )
    return f"{'all protocols' if one.protocol == '-1' else one.protocol}{ports} from {one.source}"


def _listed(value: Json) -> Sequence[Json]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _port(value: Json) -> int | None:
    return value if isinstance(value, int) else None
