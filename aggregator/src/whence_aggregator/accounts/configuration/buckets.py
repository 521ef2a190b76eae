"""Sections of S3: buckets, and the bucket of minted credentials."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from whence_aggregator.accounts.configuration.identity import ExternalId, RoleName, TrustedPrincipal

_Name = Annotated[str, Meta(min_length=3, max_length=200)]
_Tags = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=128)], Annotated[str, Meta(max_length=256)]],
    Meta(max_length=40, description="Tags, besides our own."),
]
_Regions = Annotated[
    Annotated[tuple[_Name, ...], Meta(max_length=40)] | None,
    Meta(description="Regions with such a bucket; null: the account's."),
]
_Lifecycle = Annotated[
    dict[str, Any] | None, Meta(description="Lifecycle as AWS's API has it: `Rules`, a list; null: left as it is.")
]


class BucketSection(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[_Name, Meta(description="Name; `{account_id}` and `{region}` are replaced.")]
    regions: _Regions = None
    policy: Annotated[
        dict[str, Any] | None,
        Meta(description="Bucket policy; `{bucket_name}` is replaced. Statements with other Sids stay."),
    ] = None
    lifecycle_configuration: _Lifecycle = None
    encryption_config: Annotated[
        dict[str, Any] | None,
        Meta(description="Encryption as AWS's API has it: `Rules`, with one rule; null: left as it is."),
    ] = None
    tags: _Tags = {}
    logging_target: Annotated[
        _Name | None,
        Meta(description="Name of a bucket for access logs, which is created; `{region}` is replaced."),
    ] = None
    logging_lifecycle_configuration: _Lifecycle = None
    versioning: Annotated[bool | None, Meta(description="Whether old versions are stored; null: left as it is.")] = None
    public_access_block: Annotated[bool, Meta(description="Whether public access is blocked, in all four ways.")] = True
    ownership: Annotated[
        Literal["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"],
        Meta(description="Owner of objects; BucketOwnerEnforced switches access control lists off."),
    ] = "BucketOwnerEnforced"
    tls_only: Annotated[bool, Meta(description="Whether requests without TLS are refused.")] = True


class MintWriterRole(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[RoleName, Meta(description="Name of the role.")] = "whence-mint"
    trusted: Annotated[
        tuple[TrustedPrincipal, ...],
        Meta(min_length=1, max_length=20, description="Who may assume it: the ARN of the role that mint runs as."),
    ]
    external_id: Annotated[ExternalId | None, Meta(description="External id, as in mint's settings.")] = None


class MintBucket(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[
        _Name | None,
        Meta(description="Name; null: PREFIX-stups-mint-ID-REGION, PREFIX of the alias up to a dash."),
    ] = None
    regions: _Regions = None
    writer: Annotated[
        Annotated[str, Meta(max_length=2_048)] | None,
        Meta(description="ARN of the role that writes credentials; null: the role of `writer_role`."),
    ] = None
    writer_role: Annotated[
        MintWriterRole | None,
        Meta(description="Role of the account that writes credentials, and is made; null: none."),
    ] = None
    key: Annotated[
        Annotated[str, Meta(max_length=2_048)] | None,
        Meta(description="KMS key that encrypts: an alias of `kms`, or an ARN with `{region}`; null: the key of S3."),
    ] = None
    noncurrent_days: Annotated[
        int, Meta(ge=1, le=3_650, description="Days after which replaced credentials are deleted.")
    ] = 30
    tags: _Tags = {}
    tls_only: Annotated[bool, Meta(description="Whether requests without TLS are refused.")] = True
