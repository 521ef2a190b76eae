"""NAT gateways: in the first `dmz` subnet of each zone with an internal subnet, each with an elastic address of ours.

A gateway is pending for a minute or two. Routes to it are written once it is available, by the next apply if need be.
An address without our tag is never used, and one of ours is released only where `--delete` names it.
"""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, of
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.stated_network import stated_with_vpc
from whence_aggregator.accounts.steps.vpc_layout import Layout, has_nat, layouts
from whence_common.errors import InputError

ELASTIC_ADDRESS = ResourceKind(
    name="elastic-address", step="nat", is_regional=True, keeps_data=True, reads=("ec2:DescribeAddresses",),
    writes=("ec2:ReleaseAddress",),
)  # fmt: skip
NAT_GATEWAY = ResourceKind(
    name="nat-gateway", step="nat", is_regional=True, keeps_data=True, after=("subnet", "internet-gateway"),
    fixed=("vpc", "subnet"),
    reads=("ec2:DescribeAddresses", "ec2:DescribeNatGateways", "ec2:DescribeSubnets", "ec2:DescribeVpcs"),
    writes=("ec2:AllocateAddress", "ec2:CreateNatGateway", "ec2:CreateTags", "ec2:DeleteNatGateway"),
)  # fmt: skip


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    """Return the NAT gateways of all VPCs that the configuration states. Raises InputError."""
    if not has_nat(account):
        return ()
    return [
        _gateway(account, layout, zone) for layout in layouts(account) if layout.is_profile
        for zone in sorted({one.zone for one in layout.of_type("internal")})
    ]  # fmt: skip


def _gateway(account: ConfiguredAccount, layout: Layout, zone: str) -> WantedResource:
    subnet = next((one for one in layout.of_type("dmz") if one.zone == zone), None)
    if subnet is None:
        message = f"accounts.{account.name}.vpc_net.{layout.region}.subnets.{zone}: no dmz subnet for a NAT gateway"
        raise InputError("accounts-nat", message, fix="state one of type dmz, or nat: none")
    address = layout.subnet_address(subnet)
    state: dict[str, Json] = {
        "tags": layout.tags(zone, {"Name": f"NAT {zone}"}), "vpc": layout.vpc_id, "subnet": of(address, "id"),
    }  # fmt: skip
    return WantedResource(
        kind=NAT_GATEWAY, name=zone, region=layout.region, state=state, within=(layout.address, address),
        is_verified=layout.is_verified,
    )  # fmt: skip


STEP = AccountStep(
    name="nat",
    summary="NAT gateways and their elastic addresses",
    kinds=(ELASTIC_ADDRESS, NAT_GATEWAY),
    wanted=wanted,
    stated=stated_with_vpc,
)
