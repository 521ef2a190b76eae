"""The VPC of a region as it was found, if a configuration can state it, with its subnets as it names them. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from whence_aggregator.accounts.found import FoundAccount, stated_tags
from whence_aggregator.accounts.resources import NAME_TAG, Json, StandingResource
from whence_aggregator.accounts.steps.vpc_layout import CUSTOM_NAME_TAG

_TYPE = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
"""As the configuration accepts the type of a subnet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSubnet:
    """A subnet whose tag Name is `TYPE-ZONE`, or `TYPE-CUSTOM-ZONE` with a tag for CUSTOM."""

    id: str
    name: str
    type: str
    zone: str
    cidr: str
    tags: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundVpc:
    """The VPC of a region that a configuration can state. `subnets` are in the order in which it states them."""

    region: str
    id: str
    cidr: str
    main_table: str
    gateway: str
    tags: Mapping[str, Json]
    subnets: tuple[FoundSubnet, ...]

    def of_type(self, kind: str) -> tuple[FoundSubnet, ...]:
        return tuple(one for one in self.subnets if one.type == kind)


def name_of(one: StandingResource) -> str:
    """Return the name that a provider finds a resource by: our own tag's, or the tag Name."""
    tags: Any = one.state["tags"]
    return str((one.is_own and tags.get(NAME_TAG)) or tags.get("Name", ""))


def in_vpc(found: FoundAccount, kind: str, vpc: FoundVpc) -> list[StandingResource]:
    return [one for one in found.of(kind, region=vpc.region) if one.state["vpc"] == vpc.id]


def find_vpc(found: FoundAccount, region: str) -> tuple[FoundVpc | None, list[str]]:
    """Return the VPC of a region that a configuration can state, and what it cannot state, in words.

    AWS's default VPC is not one that an owner made, unless it has our tag.
    """
    all_vpcs = found.of("vpc", region=region)
    made = [one for one in all_vpcs if one.is_own or not one.state["is_default"]]
    own = [one for one in made if one.is_own]
    chosen = own if len(own) == 1 else made
    if len(chosen) != 1:
        names = ", ".join(sorted(map(_called, made)))
        return None, [f"{region}: several VPCs, of which a configuration states one: {names}"] if made else []
    (vpc,) = chosen
    notes = [f"{region}: {_called(one)}: a configuration states one VPC of a region, here {_called(vpc)}"
             for one in made if one is not vpc]  # fmt: skip
    if not vpc.is_own and sum(one.name == vpc.name for one in all_vpcs) > 1:
        return None, [*notes, f"{region}: {_called(vpc)}: another VPC has the same network"]
    gateway = next((one for one in found.of("internet-gateway", region=region)
                    if one.state["vpc"] == vpc.outputs["id"]), None)  # fmt: skip
    reason = _without_way_out(gateway)
    if reason is not None and not vpc.is_own:
        return None, [*notes, f"{region}: {_called(vpc)}: {reason}, as a configuration always means"]
    subnets, left_out = _subnets(found, region, vpc)
    notes += [f"{region}: {one}" for one in left_out]
    notes += [f"{region}: {_called(vpc)}: its further network {one}" for one in _texts(vpc.state["further_networks"])]
    if not subnets:
        reason = f"none of its subnets has a tag Name such as dmz-{region}a, and a configuration always has some"
        return None, [*notes, f"{region}: {_called(vpc)}: {reason}"]
    stated = FoundVpc(
        region=region, id=str(vpc.outputs["id"]), cidr=vpc.name, main_table=str(vpc.outputs["main_route_table"]),
        gateway=str(gateway.outputs["id"]) if gateway is not None else "",
        tags=stated_tags(vpc.state["tags"], without=("Name",)), subnets=subnets,
    )  # fmt: skip
    return stated, notes


def _without_way_out(gateway: StandingResource | None) -> str | None:
    """Return what a VPC lacks of the way out that a configuration means, in words."""
    if gateway is None:
        return "it has no internet gateway"
    if gateway.state["main_table_route"] is not True:
        return f"its main route table has no default route to {gateway.outputs['id']}"
    return None


def _called(vpc: StandingResource) -> str:
    return f"VPC {vpc.outputs['id']} ({vpc.name})"


def _subnets(found: FoundAccount, region: str, vpc: StandingResource) -> tuple[tuple[FoundSubnet, ...], list[str]]:
    """Return the subnets that can be stated, and why the others cannot."""
    standing = [one for one in found.of("subnet", region=region) if one.state["vpc"] == vpc.outputs["id"]]
    names = Counter(map(name_of, standing))
    subnets: list[FoundSubnet] = []
    left_out = []
    for one in standing:
        made = _subnet(one)
        cidr, zone = str(one.state["cidr"]), one.state["zone"]
        about = f"subnet {one.outputs['id']} ({cidr})"
        if made is None:
            left_out.append(f"{about}: its tag Name is not TYPE-{zone}, but {name_of(one) or 'missing'}")
        elif names[made.name] > 1:
            left_out.append(f"{about}: another subnet has the tag Name {made.name}, too")
        elif not IPv4Network(cidr).subnet_of(IPv4Network(vpc.name)):
            left_out.append(f"{about}: it is not in the network {vpc.name}")
        else:
            subnets.append(made)
    first = _first_places(found, region)
    subnets.sort(key=lambda one: (one.zone, one.id not in first, IPv4Network(one.cidr)))
    return tuple(subnets), left_out


def _subnet(one: StandingResource) -> FoundSubnet | None:
    name, zone, tags = name_of(one), str(one.state["zone"]), stated_tags(one.state["tags"], without=("Name",))
    kind = name.removesuffix(f"-{zone}")
    if kind == name:
        return None
    if custom := str(tags.get(CUSTOM_NAME_TAG, "")):
        shortened = kind.removesuffix(f"-{custom}")
        if shortened == kind:
            return None
        kind = shortened
    if _TYPE.fullmatch(kind) is None:
        return None
    return FoundSubnet(
        id=str(one.outputs["id"]), name=name, type=kind, zone=zone, cidr=str(one.state["cidr"]), tags=tags
    )  # fmt: skip


def _first_places(found: FoundAccount, region: str) -> set[str]:
    """Return subnets with a NAT gateway or an interface endpoint: we put these into the first of a zone and type."""
    gateways = {str(one.state["subnet"]) for one in found.of("nat-gateway", region=region)}
    endpoints = found.of("vpc-endpoint", region=region)
    return gateways | {each for one in endpoints for each in _texts(one.state["subnets"])}


def _texts(value: Json) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, Sequence) and not isinstance(value, str) else ()
