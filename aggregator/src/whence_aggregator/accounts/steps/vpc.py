"""The VPC of each region: network, internet gateway, subnets and route tables.

A VPC without our tag is compared only, whatever is in it, until `--adopt` names it. AWS's default VPC, subnets without
a name and routes of others are never deleted, and nothing here stops an instance. What traffic depends on is deleted
only where `--delete` names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.network import Vpc
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, address_of, of
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.stated_network import stated
from whence_aggregator.accounts.steps.vpc_layout import Layout, SubnetPlace, has_nat, layouts
from whence_common.errors import InputError

ROUTE = "route "
"""Beginning of an aspect that is a route: its destination follows, and the value is the id of its target."""
DEFAULT_ROUTE = f"{ROUTE}0.0.0.0/0"
_TAGGING = ("ec2:CreateTags",)

VPC = ResourceKind(
    name="vpc", step="vpc", is_regional=True, keeps_data=True,
    reads=("ec2:DescribeRouteTables", "ec2:DescribeVpcAttribute", "ec2:DescribeVpcs"),
    writes=("ec2:CreateVpc", "ec2:DeleteVpc", "ec2:ModifyVpcAttribute", *_TAGGING),
)  # fmt: skip
INTERNET_GATEWAY = ResourceKind(
    name="internet-gateway", step="vpc", is_regional=True, after=("vpc",), keeps_data=True,
    reads=("ec2:DescribeInternetGateways", "ec2:DescribeRouteTables", "ec2:DescribeVpcs"),
    writes=(
        "ec2:AttachInternetGateway", "ec2:CreateInternetGateway", "ec2:CreateRoute", "ec2:DeleteInternetGateway",
        "ec2:DetachInternetGateway", "ec2:ReplaceRoute", *_TAGGING,
    ),
)  # fmt: skip
SUBNET = ResourceKind(
    name="subnet", step="vpc", is_regional=True, after=("vpc",), keeps_data=True, fixed=("vpc", "cidr", "zone"),
    reads=("ec2:DescribeSubnets", "ec2:DescribeVpcs"), writes=("ec2:CreateSubnet", "ec2:DeleteSubnet", *_TAGGING),
)  # fmt: skip
ROUTE_TABLE = ResourceKind(
    name="route-table", step="vpc", is_regional=True, after=("subnet", "internet-gateway", "nat-gateway"),
    keeps_data=True, fixed=("vpc",), reads=("ec2:DescribeRouteTables", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
    writes=(
        "ec2:AssociateRouteTable", "ec2:CreateRoute", "ec2:CreateRouteTable", "ec2:DeleteRouteTable",
        "ec2:DisassociateRouteTable", "ec2:ReplaceRoute", "ec2:ReplaceRouteTableAssociation", *_TAGGING,
    ),
)  # fmt: skip


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    """Return the VPCs and what is in them. Raises InputError."""
    return [one for layout in layouts(account) for one in _of_layout(account, layout)]


def _of_layout(account: ConfiguredAccount, layout: Layout) -> Iterator[WantedResource]:
    if not layout.is_profile:  # only to find it, for what others place in it
        yield WantedResource(kind=VPC, name=layout.cidr, region=layout.region, state={}, is_verified=True)
        for one in layout.of_type("internal") if account.settings.database_subnet_groups else ():
            placed: dict[str, Json] = {"vpc": layout.vpc_id, "cidr": one.cidr}
            yield WantedResource(kind=SUBNET, name=one.name, region=layout.region, state=placed, is_verified=True)
        return
    tags = {**_vpc_tags(account), "Name": f"{account.name}-{layout.region}"}
    yield _wanted(layout, VPC, layout.cidr, tags, {"dns_support": True, "dns_hostnames": True}, ())
    gateway = address_of(INTERNET_GATEWAY.name, "main", layout.region)
    routes = {"vpc": layout.vpc_id, "main_table_route": True}
    yield _wanted(layout, INTERNET_GATEWAY, "main", {"Name": f"{account.name}-{layout.region}"}, routes)
    for one in layout.subnets:
        state = {"vpc": layout.vpc_id, "cidr": one.cidr, "zone": one.zone}
        yield _wanted(layout, SUBNET, one.name, {**one.tags, "Name": one.name}, state)
    if has_nat(account):
        for one in layout.of_type("internal"):
            yield _route_table(layout, one, of(nat_address(layout, one.zone), "id"))
    if account.settings.enable_dedicated_dmz_route:
        for one in layout.of_type("dmz"):
            yield _route_table(layout, one, of(gateway, "id"))


def nat_address(layout: Layout, zone: str) -> str:
    return address_of("nat-gateway", zone, layout.region)


def route_table_addresses(account: ConfiguredAccount, layout: Layout) -> list[str]:
    """Return the addresses of the route tables of a VPC, besides its main one."""
    types = [*(["internal"] if has_nat(account) else []),
             *(["dmz"] if account.settings.enable_dedicated_dmz_route else [])]  # fmt: skip
    return [
        address_of(ROUTE_TABLE.name, one.name, layout.region) for kind in types for one in layout.of_type(kind)
    ]  # fmt: skip


def _route_table(layout: Layout, subnet: SubnetPlace, target: Json) -> WantedResource:
    address = layout.subnet_address(subnet)
    tags = {"Name": subnet.name, "AvailabilityZone": subnet.zone, "Type": subnet.type}
    state = {"vpc": layout.vpc_id, DEFAULT_ROUTE: target, "subnet": of(address, "id")}
    return _wanted(layout, ROUTE_TABLE, subnet.name, tags, state, (layout.address, address))


def _wanted(
    layout: Layout, kind: ResourceKind, name: str, tags: dict[str, str], state: dict[str, Json],
    within: tuple[str, ...] | None = None,
) -> WantedResource:  # fmt: skip
    return WantedResource(
        kind=kind, name=name, region=layout.region, state={"tags": layout.tags(name, tags), **state},
        within=(layout.address,) if within is None else within, is_verified=layout.is_verified,
    )  # fmt: skip


def _vpc_tags(account: ConfiguredAccount) -> dict[str, str]:
    tags = (account.settings.vpc or Vpc()).tags
    for name, value in tags.items():
        if "{{" in value:
            message = f"accounts.{account.name}.vpc.tags.{name} has a placeholder in double braces: {value}"
            fix = "write the value itself; AMIs are not looked up"
            raise InputError("accounts-placeholder", message[:1_500], fix=fix)
    return dict(tags)


STEP = AccountStep(
    name="vpc", summary="the VPC of each region, its subnets and routes",
    kinds=(VPC, INTERNET_GATEWAY, SUBNET, ROUTE_TABLE), wanted=wanted, stated=stated,
)  # fmt: skip
