"""The section of one account, with the global section's keys where the account does not state them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from whence_aggregator.accounts.configuration.access import Access
from whence_aggregator.accounts.configuration.network import SecurityGroup, TrustedNetworksConfig, Vpc, VpcNet


class AccountSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(pattern=r"^[0-9]{12}$", description="The account's id, 12 digits in quotes.")]
    alias: Annotated[str | None, Meta(description="Alias of the account; `{account_name}` is replaced.")] = (
        "{account_name}"
    )
    regions: Annotated[tuple[str, ...], Meta(min_length=1, max_length=40, description="Regions that are configured.")]
    admin_account: Annotated[str | None, Meta(description="Name of the account with the parent zone.")] = None
    access: Access = field(default_factory=Access)
    vpc: Annotated[
        Vpc | None, Meta(description="What every region's VPC has in common; configures a VPC in every region.")
    ] = None
    vpc_net: Annotated[
        dict[Annotated[str, Meta(max_length=40)], VpcNet], Meta(max_length=40, description="The VPC by region.")
    ] = field(default_factory=dict)
    vpc_mode: Annotated[
        Literal["manage", "verify"],
        Meta(description="`verify` only reports how VPCs differ; `manage` still only verifies a VPC without our tag."),
    ] = "manage"
    nat: Annotated[
        Literal["none", "gateway"] | None,
        Meta(
            description="Way out of internal subnets: a NAT gateway per zone, or none; empty: as `enable_nat` states."
        ),
    ] = None
    enable_nat: Annotated[bool | None, Meta(description="Version 10's key for `nat`; its default is true.")] = None
    enable_dedicated_dmz_route: Annotated[
        bool, Meta(description="Whether each `dmz` subnet has a route table of its own.")
    ] = False
    trusted_networks: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=200)], Annotated[str, Meta(max_length=50)]],
        Meta(max_length=1000, description="Networks by name, for security groups with `allow_from_trusted`."),
    ] = field(default_factory=dict)
    trusted_networks_config: TrustedNetworksConfig | None = None
    security_groups: Annotated[
        dict[Annotated[str, Meta(pattern=r"^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}$")], SecurityGroup],
        Meta(max_length=500, description="Security groups by name, in the VPC of every region."),
    ] = field(default_factory=dict)
    database_subnet_groups: Annotated[
        bool, Meta(description="Whether RDS and ElastiCache have a subnet group `internal` of the internal subnets.")
    ] = False
