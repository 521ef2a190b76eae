"""The VPC of each region, its subnets, routes and logs, and security groups."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

VPC_CIDR = "172.31.0.0/16"
"""Version 10's network, which is that of AWS's default VPC."""
_Cidr = Annotated[str, Meta(min_length=9, max_length=18, description="IPv4 network, such as `10.1.0.0/16`.")]
Tags = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=128)], Annotated[str, Meta(max_length=256)]],
    Meta(max_length=40, description="Tags by name."),
]
_Port = Annotated[int, Meta(ge=-1, le=65535)]
_Zone = Annotated[str, Meta(pattern=r"^[a-z]{2}(-[a-z0-9]+)+[a-z]$", max_length=40)]
_Label = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
LogRetentionDays = Literal[
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653
]
"""What CloudWatch Logs' PutRetentionPolicy accepts."""


class Vpc(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tags: Annotated[Tags, Meta(description="Further tags of every VPC.")] = field(default_factory=dict)
    flow_logs_retention_in_days: Annotated[
        LogRetentionDays, Meta(description="How long the log group of the flow logs keeps events.")
    ] = 3653
    flow_log_destinations: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=512)], ...],
        Meta(
            max_length=10,
            description="`log-group`, or ARNs of S3 buckets or Firehose streams; `{region}` is replaced.",
        ),
    ] = ("log-group",)
    flow_logs_role: Annotated[
        str, Meta(pattern=r"^[\w+=,.@-]{1,64}$", description="Role that writes flow logs into the log group.")
    ] = "vpc-flowlogs"
    endpoints: Annotated[
        tuple[Literal["s3", "dynamodb", "kms"], ...],
        Meta(max_length=3, description="Endpoints of the VPC. `kms` is an interface endpoint, which AWS charges for."),
    ] = ("s3", "dynamodb")


class SubnetEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cidr: Annotated[_Cidr, Meta(description="Network of the subnet, inside that of the VPC.")]
    type: Annotated[_Label, Meta(description="Beginning of the name: `dmz`, `internal`, or one of your own.")]
    tags: Annotated[
        Tags, Meta(description="Further tags. `zalando.org/custom-subnet` becomes part of the subnet's name.")
    ] = field(default_factory=dict)


class VpcNet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    cidr: Annotated[_Cidr, Meta(description="Network of the region's VPC.")] = VPC_CIDR
    zones: Annotated[
        tuple[_Zone, ...],
        Meta(max_length=8, description="Availability zones of the computed subnets; empty: a, b and c of the region."),
    ] = ()
    subnets: Annotated[
        dict[_Zone, Annotated[tuple[SubnetEntry, ...], Meta(max_length=50)]],
        Meta(max_length=20, description="Subnets by availability zone; empty: `dmz` and `internal` are computed."),
    ] = field(default_factory=dict)


class IpPermission(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ip_protocol: Annotated[
        str,
        Meta(pattern=r"^(tcp|udp|icmp|icmpv6|-1|[0-9]{1,3})$", description="`tcp`, `udp`, `icmp`, or `-1` for all."),
    ]
    from_port: Annotated[_Port | None, Meta(description="First port, or ICMP type.")] = None
    to_port: Annotated[_Port | None, Meta(description="Last port, or ICMP code.")] = None
    ip_ranges: Annotated[
        tuple[Annotated[str, Meta(max_length=50)], ...],
        Meta(max_length=1000, description="Networks that may connect, IPv4 or IPv6."),
    ] = ()


class SecurityGroup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ip_permissions: Annotated[
        tuple[IpPermission, ...], Meta(max_length=100, description="What may connect to members of the group.")
    ] = ()
    allow_from_trusted: Annotated[bool, Meta(description="Whether the trusted networks may connect as well.")] = False
    description: Annotated[
        str,
        Meta(
            pattern=r"^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}$", description="Description; AWS never changes it."
        ),
    ] = "Managed Security Group"


class TrustedNetworksConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    disable_account_autogeneration: Annotated[
        bool, Meta(description="Kept for old files; addresses of other accounts are never added by themselves.")
    ] = True
