"""The section of one account, with the global section's keys where the account does not state them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_aggregator.accounts.configuration.buckets import BucketSection, MintBucket
from whence_aggregator.accounts.configuration.certificates import CertificateSettings
from whence_aggregator.accounts.configuration.cloudtrail import CloudTrail
from whence_aggregator.accounts.configuration.defaults import MetadataDefaults
from whence_aggregator.accounts.configuration.guardrails import BudgetName, ConfigRecorder, GuardDuty, MonthlyBudget
from whence_aggregator.accounts.configuration.identity import (
    AdditionalAttachedPolicies,
    AdditionalPolicy,
    ApplicationRoles,
    AuditorRole,
    PasswordPolicy,
    PolicyName,
    Role,
    RoleName,
    VpcFlowlogsRole,
)
from whence_aggregator.accounts.configuration.images import AmiSharing, BaseAmi
from whence_aggregator.accounts.configuration.keys import KeySection
from whence_aggregator.accounts.configuration.network import SecurityGroup, TrustedNetworksConfig, Vpc, VpcNet

_SamlMetadata = Annotated[str, Meta(min_length=1, max_length=1_000_000)]

RegionName = Annotated[str, Meta(pattern=r"^[a-z]{2,4}(-[a-z0-9]{1,20}){1,5}(?!\n)$")]


class AccountSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(pattern=r"^[0-9]{12}$", description="The account's id, 12 digits in quotes.")]
    alias: Annotated[str | None, Meta(description="Alias of the account; `{account_name}` is replaced.")] = (
        "{account_name}"
    )
    regions: Annotated[
        tuple[RegionName, ...], Meta(min_length=1, max_length=40, description="Regions that are configured.")
    ]
    admin_account: Annotated[str | None, Meta(description="Name of the account with the parent zone.")] = None
    access: AccountAccess = field(default_factory=AccountAccess)
    roles: Annotated[
        dict[RoleName, Role | None], Meta(max_length=500, description="IAM roles by name; null: none of this name.")
    ] = field(default_factory=dict)
    additional_policies: Annotated[
        tuple[AdditionalPolicy, ...], Meta(max_length=500, description="Statements that are added to roles.")
    ] = ()
    additional_attached_policies: Annotated[
        tuple[AdditionalAttachedPolicies, ...],
        Meta(max_length=500, description="Managed policies that are attached to roles as well."),
    ] = ()
    auditor_role: Annotated[
        AuditorRole | None, Meta(description="Role by which Whence's aggregator reads the account.")
    ] = None
    vpc_flowlogs_role: Annotated[
        VpcFlowlogsRole | None, Meta(description="Role by which VPC flow logs are written to CloudWatch Logs.")
    ] = None
    application_roles: Annotated[
        ApplicationRoles | None, Meta(description="A role `app-<id>` for each application, for its instances.")
    ] = None
    saml_providers: Annotated[
        dict[PolicyName, _SamlMetadata | None],
        Meta(max_length=100, description="SAML providers by name, each with its metadata: XML, or an https URL of it."),
    ] = field(default_factory=dict)
    password_policy: Annotated[
        PasswordPolicy | None, Meta(description="Rules for passwords of IAM users; absent: left as they are.")
    ] = None
    outbound_web_identity: Annotated[
        bool, Meta(description="Enable tokens by sts:GetWebIdentityToken. It is never disabled.")
    ] = False
    check_root_user: Annotated[
        bool, Meta(description="Warn if the root user has a password without MFA, access keys, or certificates.")
    ] = False
    s3_buckets: Annotated[
        dict[str, BucketSection], Meta(max_length=200, description="Buckets, by a name of the configuration's own.")
    ] = {}
    mint_bucket: Annotated[
        MintBucket | None, Meta(description="Bucket of minted credentials, which one role writes; null: none.")
    ] = None
    public_access_block: Annotated[
        bool, Meta(description="Whether public access to all buckets is blocked; false: left as it is.")
    ] = False
    kms: Annotated[dict[str, KeySection], Meta(max_length=200, description="KMS keys, by alias.")] = {}
    ebs_encrypt_by_default: Annotated[
        bool, Meta(description="Whether new volumes are encrypted; false: left as it is.")
    ] = True
    ebs_default_key: Annotated[
        Annotated[str, Meta(max_length=2_048)] | None,
        Meta(description="Key of new volumes: an alias of `kms`, or an ARN with `{region}`; null: left as it is."),
    ] = None
    instance_metadata: Annotated[
        MetadataDefaults | None, Meta(description="Defaults of the metadata service; null: left as they are.")
    ] = None
    image_public_access_block: Annotated[
        bool, Meta(description="Whether images can no longer be shared publicly; false: left as it is.")
    ] = False
    snapshot_public_access_block: Annotated[
        Literal["block-all-sharing", "block-new-sharing"] | None,
        Meta(description="Which public sharing of snapshots is blocked; null: left as it is."),
    ] = None
    guardduty: Annotated[
        GuardDuty | None, Meta(description="GuardDuty's detector in every region; null: left as it is.")
    ] = None
    aws_config: Annotated[
        ConfigRecorder | None, Meta(description="AWS Config's recorder in every region; null: left as it is.")
    ] = None
    budgets: Annotated[
        dict[BudgetName, MonthlyBudget], Meta(max_length=50, description="Monthly budgets of costs, by name.")
    ] = field(default_factory=dict)
    enable_cloudtrail: Annotated[
        bool, Meta(description="False: no trail here, though `cloudtrail` is configured; its bucket is.")
    ] = True
    cloudtrail: Annotated[
        CloudTrail | None, Meta(description="The audit trail, its log files and its events; null: none.")
    ] = None
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
    trusted_networks_config: Annotated[
        TrustedNetworksConfig | None, Meta(description="Version 10's options of `trusted_networks`; without effect.")
    ] = None
    security_groups: Annotated[
        dict[Annotated[str, Meta(pattern=r"^[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}$")], SecurityGroup],
        Meta(max_length=500, description="Security groups by name, in the VPC of every region."),
    ] = field(default_factory=dict)
    database_subnet_groups: Annotated[
        bool, Meta(description="Whether RDS and ElastiCache have a subnet group `internal` of the internal subnets.")
    ] = False
    domain: Annotated[
        str | None,
        Meta(description="Domain of the account's DNS zone; `{account_name}` is replaced; empty: no zone."),
    ] = None
    domain_soa_ttl: Annotated[
        int, Meta(ge=0, le=2_147_483_647, description="TTL of the zone's SOA record, in seconds.")
    ] = 60
    acm: Annotated[
        CertificateSettings | tuple[CertificateSettings, ...] | None,
        Meta(description="Certificates that are requested in every region: one, or a list."),
    ] = None
    base_ami: Annotated[BaseAmi | None, Meta(description="Base images of version 10; shared if not public.")] = None
    ami_sharing: Annotated[
        AmiSharing | None, Meta(description="Images of another account that are shared with this one.")
    ] = None
