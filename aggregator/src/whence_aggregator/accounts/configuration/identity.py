"""Sections about IAM: roles, SAML providers, and settings of the whole account."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct, field

RoleName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_+=,.@-]{1,64}$")]
PolicyName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_+=,.@-]{1,128}$")]
PolicyArn = Annotated[str, Meta(pattern=r"^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/[!-~]{1,512}$", max_length=600)]
TrustedPrincipal = Annotated[
    str, Meta(pattern=r"^([0-9]{12}|arn:aws[a-z-]*:(iam|sts)::[0-9]{12}:(root|(role|user|assumed-role)/[!-~]{1,512}))$")
]
ApplicationId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,59}$")]
BucketName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
Arn = Annotated[str, Meta(pattern=r"^arn:aws[a-z-]*:[a-z0-9-]+:[!-~]{1,1000}$")]
ATTACHED_MAX = 25
Description = Annotated[str, Meta(max_length=1_000)]
SessionSeconds = Annotated[int, Meta(ge=3_600, le=43_200)]
ExternalId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_+=,.@:/-]{2,1224}$")]
INLINE_MAX = 6
"""With the policy of the role's name and the attached ones, as many as the tag `whence:parts` can state."""


class Role(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    drop: Annotated[bool, Meta(description="The role must not exist; it is deleted if it is our own.")] = False
    path: Annotated[
        str, Meta(pattern=r"^/([!-~]{1,510}/)?$", description="Path of the role; AWS cannot change it.")
    ] = "/"
    assume_role_policy: Annotated[
        dict[str, Any] | None, Meta(description="Trust policy: who may assume the role. Required unless `drop` is set.")
    ] = None
    policy: Annotated[
        dict[str, Any] | None, Meta(description="Inline policy with the role's name. Without it, there is none.")
    ] = None
    inline_policies: Annotated[
        dict[PolicyName, dict[str, Any]],
        Meta(max_length=INLINE_MAX, description="More inline policies by name. Others of the role are left alone."),
    ] = field(default_factory=dict)
    attached_policies: Annotated[
        tuple[PolicyArn, ...],
        Meta(max_length=ATTACHED_MAX, description="ARNs of managed policies to attach. Others are left alone."),
    ] = ()
    description: Annotated[Description | None, Meta(description="Description of the role.")] = None
    max_session_duration: Annotated[
        SessionSeconds | None, Meta(description="Longest session in seconds; AWS's default is 3600.")
    ] = None
    permissions_boundary: Annotated[
        PolicyArn | None, Meta(description="ARN of the policy that bounds the role's permissions.")
    ] = None
    tags: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=128)], Annotated[str, Meta(max_length=256)]],
        Meta(max_length=40, description="Tags of the role. Others are left alone."),
    ] = field(default_factory=dict)


class AdditionalPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: Annotated[RoleName, Meta(description="Name of a configured role.")]
    statement: Annotated[dict[str, Any], Meta(description="Statement that is added to the role's policy.")]


class AdditionalAttachedPolicies(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    role: Annotated[RoleName, Meta(description="Name of a configured role.")]
    policies: Annotated[
        tuple[PolicyArn, ...], Meta(max_length=ATTACHED_MAX, description="ARNs of managed policies to attach as well.")
    ]


class TrailAccess(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    queues: Annotated[tuple[Arn, ...], Meta(max_length=50, description="ARNs of the SQS queues that are read.")] = ()
    buckets: Annotated[
        tuple[BucketName, ...], Meta(max_length=50, description="Names of the buckets with log files.")
    ] = ()
    keys: Annotated[
        tuple[Arn, ...], Meta(max_length=50, description="ARNs of the KMS keys that encrypt log files and queues.")
    ] = ()


class AuditorRole(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[RoleName, Meta(description="Name of the role, as in `inventory.role_name`.")] = "fullstop"
    trusted: Annotated[
        tuple[TrustedPrincipal, ...],
        Meta(min_length=1, max_length=20, description="Who may assume it: account ids, or ARNs of roles."),
    ]
    external_id: Annotated[ExternalId | None, Meta(description="External id, as in `inventory.external_id`.")] = None
    trail: Annotated[TrailAccess | None, Meta(description="What the role reads of CloudTrail.")] = None
    organization: Annotated[bool, Meta(description="The role lists the organisation's accounts, units and tags.")] = (
        False
    )
    registry_pull: Annotated[bool, Meta(description="The role reads all images of the account's ECR.")] = False
    drift: Annotated[
        bool, Meta(description="The role reads what plans read, and who changed it, for `account_configuration`.")
    ] = False


class VpcFlowlogsRole(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[RoleName, Meta(description="Name of the role.")] = "vpc-flowlogs"
    log_group: Annotated[
        str, Meta(pattern=r"^[A-Za-z0-9_/.#-]{1,512}$", description="Log group that flow logs are written to.")
    ] = "vpc-flowgroup"


class ApplicationRoles(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    applications: Annotated[
        tuple[ApplicationId, ...], Meta(max_length=500, description="Application ids; each has a role `app-<id>`.")
    ]
    mint_bucket: Annotated[
        BucketName | None, Meta(description="Bucket whose objects below `<id>/` the role reads; none: no bucket.")
    ] = None
    list_bucket: Annotated[
        bool,
        Meta(description="The role lists its own prefix, so that a missing object is not answered as a denied one."),
    ] = True
    registry_pull: Annotated[bool, Meta(description="The role pulls all images of the account's ECR.")] = False
    attached_policies: Annotated[
        tuple[PolicyArn, ...], Meta(max_length=ATTACHED_MAX, description="ARNs of managed policies for each role.")
    ] = ()
    instance_profiles: Annotated[
        bool, Meta(description="Each role has an instance profile of its name, for use by EC2.")
    ] = True


class PasswordPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    minimum_password_length: Annotated[int, Meta(ge=6, le=128, description="Characters of a password.")] = 14
    require_symbols: Annotated[bool, Meta(description="A symbol is required.")] = False
    require_numbers: Annotated[bool, Meta(description="A digit is required.")] = False
    require_uppercase_characters: Annotated[bool, Meta(description="A capital letter is required.")] = False
    require_lowercase_characters: Annotated[bool, Meta(description="A small letter is required.")] = False
    allow_users_to_change_password: Annotated[bool, Meta(description="Users may change their own password.")] = True
    max_password_age: Annotated[
        int, Meta(ge=0, le=1_095, description="Days until a password expires; 0: it does not.")
    ] = 0
    password_reuse_prevention: Annotated[
        int, Meta(ge=0, le=24, description="Former passwords that may not be used again; 0: none.")
    ] = 24
    hard_expiry: Annotated[bool, Meta(description="A user whose password has expired cannot set a new one.")] = False
