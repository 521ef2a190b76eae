"""How the VPCs that were found lead out, and what is at their ends: NAT, routes, endpoints and flow logs. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.found import FoundAccount
from whence_aggregator.accounts.ingress import KMS_GROUP
from whence_aggregator.accounts.resources import NAME_TAG, StandingResource
from whence_aggregator.accounts.steps.found_vpc import FoundSubnet, FoundVpc, in_vpc, name_of

_EVERYWHERE = "0.0.0.0/0"
_GATEWAYS = ("s3", "dynamodb")
_TO_GROUP, GROUP = "log-group", "vpc-flowgroup"
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):role/([\w+=,.@-]{1,64})")
_DESTINATION = re.compile(r"arn:[a-z-]+:(s3|firehose):.+")


def has_nat_gateways(found: FoundAccount, vpcs: Sequence[FoundVpc]) -> bool:
    """Return whether every internal subnet of all VPCs leads out by a table of its own and the gateway of its zone."""
    internal = [(vpc, one) for vpc in vpcs for one in vpc.of_type("internal")]
    return bool(internal) and all(
        nat_of(found, vpc, one.zone) is not None and one.name in _tables(found, vpc) for vpc, one in internal
    )


def nat_of(found: FoundAccount, vpc: FoundVpc, zone: str) -> StandingResource | None:
    """Return the gateway in the first `dmz` subnet of a zone."""
    first = next((one.id for one in vpc.of_type("dmz") if one.zone == zone), None)
    return next((one for one in in_vpc(found, "nat-gateway", vpc) if one.state["subnet"] == first), None)


def has_dmz_tables(found: FoundAccount, vpcs: Sequence[FoundVpc]) -> bool:
    """Return whether every `dmz` subnet of all VPCs has a route table of its own."""
    places = [(vpc, one) for vpc in vpcs for one in vpc.of_type("dmz")]
    return bool(places) and all(one.name in _tables(found, vpc) for vpc, one in places)


def ways_left_out(found: FoundAccount, vpc: FoundVpc, *, nat: bool, dmz_tables: bool) -> list[str]:
    """Return the gateways, tables and routes of a VPC that are not stated, in words."""
    internal = vpc.of_type("internal") if nat else ()
    gateways = [nat_of(found, vpc, zone) for zone in sorted({one.zone for one in internal})]
    notes = [
        f"NAT gateway {one.outputs['nat_gateway']} in {one.state['subnet']}: nat states one in the first dmz subnet of "
        "each zone with internal subnets, and a route table of its own for each of these"
        for one in in_vpc(found, "nat-gateway", vpc) if one not in gateways
    ]  # fmt: skip
    stated: Sequence[FoundSubnet] = (*internal, *(vpc.of_type("dmz") if dmz_tables else ()))
    tables = _tables(found, vpc)
    used = {tables[one.name].outputs["id"] for one in stated if one.name in tables}
    for table in in_vpc(found, "route-table", vpc):
        about, routes = f"route table {table.outputs['id']} {name_of(table)}".rstrip(), _routes(table)
        if table.outputs["id"] in used or table.state["is_main"]:
            others = {one: target for one, target in routes.items() if one != _EVERYWHERE}
            notes += [f"{about}: its route {one} to {target}" for one, target in others.items()]
        else:
            ways = "".join(f", {one} to {target}" for one, target in routes.items())
            notes.append(f"{about}{ways}: its tag Name is not that of an internal subnet with NAT, or of a dmz subnet")
    return notes


def endpoints_of(found: FoundAccount, vpc: FoundVpc) -> tuple[tuple[str, ...], list[str]]:
    """Return the endpoints of a VPC as the configuration names them, and the others in words."""
    names: list[str] = []
    left_out = []
    groups = {one.name for one in in_vpc(found, "security-group", vpc)}
    for one in sorted(in_vpc(found, "vpc-endpoint", vpc), key=lambda each: (not each.is_own, each.name)):
        service = str(one.state["service"])
        name, is_gateway = service.removeprefix(f"com.amazonaws.{vpc.region}."), not one.state["subnets"]
        about = f"endpoint {one.outputs['id']} of {service}"
        if name in names:
            left_out.append(f"{about}: a configuration states one of each service")
        elif name == "kms" and not is_gateway and not vpc.of_type("internal"):
            left_out.append(f"{about}: it needs internal subnets")
        elif name == "kms" and not is_gateway and KMS_GROUP not in groups:
            left_out.append(f"{about}: it has no security group {KMS_GROUP}")
        elif (name in _GATEWAYS and is_gateway) or (name == "kms" and not is_gateway):
            names.append(name)
        else:
            left_out.append(f"{about}: a configuration states gateways of {', '.join(_GATEWAYS)}, and kms")
    return tuple(name for name in (*_GATEWAYS, "kms") if name in names), left_out


def flow_logs_of(found: FoundAccount, vpc: FoundVpc) -> tuple[tuple[str, ...], str | None, list[str]]:
    """Return the destinations of a VPC's flow logs, the role that writes to the log group, and the others in words.

    A destination of our own is as the configuration had it, with `{region}`.
    """
    destinations: list[str] = []
    roles: list[str] = []
    left_out = []
    for one in sorted(in_vpc(found, "flow-log", vpc), key=lambda each: (not each.is_own, each.name)):
        target = str(one.state["destination"])
        role = _ROLE.fullmatch(str(one.state["role"]))
        about = f"flow log {one.outputs['id']} to {target}"
        named = str(_tags(one).get(NAME_TAG, "")) if one.is_own else ""
        written = _TO_GROUP if target == GROUP else named if _in(named, vpc) == target else target
        if one.state["traffic"] != "ALL":
            left_out.append(f"{about}: it has {one.state['traffic']} traffic, and a configuration means ALL")
        elif target == GROUP and (role is None or role[1] != found.target.account_id):
            left_out.append(f"{about}: its role {one.state['role']} is not one of this account without a path")
        elif target != GROUP and _DESTINATION.fullmatch(target) is None:
            left_out.append(f"{about}: a configuration states the log group {GROUP}, S3 or Firehose")
        elif written in destinations:
            left_out.append(f"{about}: another one has the same destination")
        else:
            destinations.append(written)
            roles += [role[2]] if role is not None and target == GROUP else []
    return tuple(sorted(destinations, key=lambda one: (one != _TO_GROUP, one))), next(iter(roles), None), left_out


def _in(destination: str, vpc: FoundVpc) -> str:
    return destination.replace("{region}", vpc.region)


def _tables(found: FoundAccount, vpc: FoundVpc) -> Mapping[str, StandingResource]:
    """Return the route tables of a VPC by the names that a provider finds them by; our own first."""
    tables = sorted(in_vpc(found, "route-table", vpc), key=lambda one: (one.is_own, one.name))
    return {name_of(one): one for one in tables if name_of(one)}


def _routes(table: StandingResource) -> Mapping[str, str]:
    """Return routes besides those of AWS, of the VPC itself and of gateway endpoints."""
    routes: Any = table.state["routes"]
    return {
        destination: target for destination, target in sorted(routes.items())
        if not str(target).startswith(("local", "vpce-"))
    }  # fmt: skip


def _tags(one: StandingResource) -> Mapping[str, Any]:
    tags: Any = one.state["tags"]
    return dict(tags)
