"""Endpoints of the VPCs: S3 and DynamoDB as gateways in our route tables, KMS as an interface in internal subnets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.network import Vpc
from whence_aggregator.accounts.ingress import KMS_GROUP
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, address_of, of
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.security_groups import SECURITY_GROUP
from whence_aggregator.accounts.steps.stated_network import stated_with_vpc
from whence_aggregator.accounts.steps.vpc import route_table_addresses
from whence_aggregator.accounts.steps.vpc_layout import Layout, layouts
from whence_common.errors import InputError

VPC_ENDPOINT = ResourceKind(
    name="vpc-endpoint", step="vpc-endpoints", is_regional=True, keeps_data=True,
    after=("route-table", "subnet", "security-group"), fixed=("vpc", "service"),
    reads=("ec2:DescribeRouteTables", "ec2:DescribeVpcEndpoints", "ec2:DescribeVpcs"),
    writes=(
        "ec2:CreateTags", "ec2:CreateVpcEndpoint", "ec2:DeleteVpcEndpoints", "ec2:ModifyVpcEndpoint",
        "route53:AssociateVPCWithHostedZone",
    ),
)  # fmt: skip


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    """Return the endpoints of all VPCs that the configuration states. Raises InputError."""
    return [one for layout in layouts(account) if layout.is_profile for one in _of_layout(account, layout)]


def _of_layout(account: ConfiguredAccount, layout: Layout) -> Iterator[WantedResource]:
    for name in dict.fromkeys((account.settings.vpc or Vpc()).endpoints):
        state: dict[str, Json] = {
            "tags": layout.tags(name, {"Name": f"{name}-{layout.region}"}), "vpc": layout.vpc_id,
            "service": f"com.amazonaws.{layout.region}.{name}",
            **(_interface(account, layout) if name == "kms" else _gateway(account, layout)),
        }  # fmt: skip
        yield WantedResource(
            kind=VPC_ENDPOINT, name=name, region=layout.region, state=state, within=(layout.address,),
            is_verified=layout.is_verified,
        )  # fmt: skip


def _gateway(account: ConfiguredAccount, layout: Layout) -> dict[str, Json]:
    tables = [of(one, "id") for one in route_table_addresses(account, layout)]
    return {"route_tables": [of(layout.address, "main_route_table"), *tables]}


def _interface(account: ConfiguredAccount, layout: Layout) -> dict[str, Json]:
    """Return the aspects of an interface: in one subnet a zone, which is all that AWS accepts."""
    zones = {one.zone: one for one in reversed(layout.of_type("internal"))}
    if not zones:
        message = f"accounts.{account.name}.vpc.endpoints: kms needs an internal subnet in {layout.region}"
        raise InputError("accounts-endpoint", message, fix="state a subnet of type internal, or remove kms")
    group = address_of(SECURITY_GROUP.name, KMS_GROUP, layout.region)
    return {
        "subnets": [of(layout.subnet_address(zones[zone]), "id") for zone in sorted(zones)],
        "groups": [of(group, "id")], "private_dns": True,
    }  # fmt: skip


STEP = AccountStep(
    name="vpc-endpoints",
    summary="endpoints of the VPCs for S3, DynamoDB and KMS",
    kinds=(VPC_ENDPOINT,),
    wanted=wanted,
    stated=stated_with_vpc,
)
