"""The VPC of each region as the configuration states it: its network, its subnets, and how it leads out. Pure.

The sizes of computed subnets are those of Seven Seconds: of a /16, each `dmz` is a /21 of the lower half, and each
`internal` a /20 of the upper half, in the order of the zones' names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from itertools import combinations, islice

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.network import VpcNet
from whence_aggregator.accounts.resources import Json, address_of, of, own_tags
from whence_common.errors import InputError

CUSTOM_NAME_TAG = "zalando.org/custom-subnet"
_DMZ_TAGS = {"kubernetes.io/role/elb": "", "kubernetes.io/role/internal-elb": ""}
_ZONES = "abc"
_DMZ_BITS, _INTERNAL_BITS = 5, 4
_PREFIX_MIN, _PREFIX_MAX = 16, 28
"""Sizes of VPCs and subnets that AWS accepts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubnetPlace:
    name: str
    type: str
    zone: str
    cidr: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The VPC of one region. `is_profile`: the configuration states the VPC itself, not only groups in it."""

    region: str
    cidr: str
    subnets: tuple[SubnetPlace, ...]
    is_profile: bool
    is_verified: bool

    @property
    def address(self) -> str:
        return address_of("vpc", self.cidr, self.region)

    @property
    def vpc_id(self) -> Json:
        return of(self.address, "id")

    def of_type(self, kind: str) -> tuple[SubnetPlace, ...]:
        return tuple(one for one in self.subnets if one.type == kind)

    def subnet_address(self, subnet: SubnetPlace) -> str:
        return address_of("subnet", subnet.name, self.region)

    def tags(self, name: str, tags: Mapping[str, str]) -> Json:
        """Return the tags of a resource: with ours, unless it is only verified."""
        return dict(sorted(tags.items())) if self.is_verified else own_tags(name, tags)


def layouts(account: ConfiguredAccount) -> tuple[Layout, ...]:
    """Return the VPCs of an account, one a region that has any. Raises InputError for networks that do not fit."""
    settings = account.settings
    place = f"accounts.{account.name}.vpc_net"
    if unknown := sorted(set(settings.vpc_net) - set(account.regions)):
        fix = "add it to regions, or remove it from vpc_net"
        raise InputError("accounts-region", f"{place}.{unknown[0]}: the region is not configured", fix=fix)
    found = []
    for region in account.regions:
        is_profile = settings.vpc is not None or region in settings.vpc_net
        if not (is_profile or settings.security_groups or settings.database_subnet_groups):
            continue
        net = settings.vpc_net.get(region, VpcNet())
        key = f"{place}.{region}"
        cidr = str(_network(net.cidr, f"{key}.cidr"))
        layout = Layout(
            region=region, cidr=cidr, subnets=_subnets(net, region, key), is_profile=is_profile,
            is_verified=settings.vpc_mode == "verify",
        )  # fmt: skip
        found.append(layout)
    return tuple(found)


def has_nat(account: ConfiguredAccount) -> bool:
    """Return whether internal subnets lead out through NAT gateways. Raises InputError for keys that contradict."""
    nat, enabled = account.settings.nat, account.settings.enable_nat
    if nat is None:
        return enabled is not False
    if enabled is not None and enabled != (nat == "gateway"):
        message = f"accounts.{account.name}.nat is {nat}, but enable_nat is {str(enabled).lower()}"
        raise InputError("accounts-contradiction", message, fix="remove enable_nat")
    return nat == "gateway"


def _subnets(net: VpcNet, region: str, key: str) -> tuple[SubnetPlace, ...]:
    found = tuple(_stated(net, key) if net.subnets else _computed(net, region, key))
    if elsewhere := sorted({one.zone for one in found if not one.zone.startswith(region)}):
        fix = f"write zones of {region}"
        raise InputError("accounts-zone", f"{key}: {elsewhere[0]} is not a zone of the region", fix=fix)
    vpc = IPv4Network(net.cidr)
    networks = [(one.name, IPv4Network(one.cidr)) for one in found]
    for name, network in networks:
        if not network.subnet_of(vpc):
            message = f"{key}.subnets: {name} {network} is not in the network of the VPC, {vpc}"
            raise InputError("accounts-network", message, fix="correct one of the two")
    for (name, network), (other, another) in combinations(networks, 2):
        if name == other:
            fix = f"give one of them another type, or a tag {CUSTOM_NAME_TAG}"
            raise InputError("accounts-twice", f"{key}.subnets: two subnets are named {name}", fix=fix)
        if network.overlaps(another):
            message = f"{key}.subnets: {name} {network} overlaps {other} {another}"
            raise InputError("accounts-network", message, fix="correct one of the two")
    return found


def _stated(net: VpcNet, key: str) -> Iterable[SubnetPlace]:
    if net.zones:
        raise InputError("accounts-contradiction", f"{key} has both zones and subnets", fix="remove zones")
    for zone, entries in sorted(net.subnets.items()):
        for number, one in enumerate(entries):
            custom = one.tags.get(CUSTOM_NAME_TAG)
            name = f"{one.type}-{custom}-{zone}" if custom else f"{one.type}-{zone}"
            cidr = str(_network(one.cidr, f"{key}.subnets.{zone}[{number}].cidr"))
            yield SubnetPlace(name=name, type=one.type, zone=zone, cidr=cidr, tags=one.tags)


def _computed(net: VpcNet, region: str, key: str) -> Iterable[SubnetPlace]:
    vpc = IPv4Network(net.cidr)
    zones = sorted(set(net.zones)) or [f"{region}{letter}" for letter in _ZONES]
    if vpc.prefixlen + _DMZ_BITS > _PREFIX_MAX:
        message = f"{key}.cidr: {vpc} is too small for computed subnets"
        raise InputError("accounts-network", message, fix="state subnets, or a network of /23 or larger")
    upper = list(vpc.subnets(prefixlen_diff=1))[1]
    dmz = islice(vpc.subnets(prefixlen_diff=_DMZ_BITS), len(zones))
    internal = islice(upper.subnets(prefixlen_diff=_INTERNAL_BITS - 1), len(zones))
    for zone, network in zip(zones, dmz, strict=True):
        yield SubnetPlace(name=f"dmz-{zone}", type="dmz", zone=zone, cidr=str(network), tags=_DMZ_TAGS)
    for zone, network in zip(zones, internal, strict=True):
        yield SubnetPlace(name=f"internal-{zone}", type="internal", zone=zone, cidr=str(network))


def _network(text: str, key: str) -> IPv4Network:
    try:
        network = IPv4Network(text)
    except ValueError as exc:
        raise InputError("accounts-network", f"{key}: {exc}", fix="write it as 10.1.0.0/16") from exc
    if not _PREFIX_MIN <= network.prefixlen <= _PREFIX_MAX:
        fix = f"write a network from /{_PREFIX_MIN} to /{_PREFIX_MAX}"
        raise InputError("accounts-network", f"{key}: AWS accepts no network of the size of {network}", fix=fix)
    return network
