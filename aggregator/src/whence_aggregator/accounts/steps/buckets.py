"""Buckets: those of the configuration, each with a policy that is compared statement by statement.

Other steps configure buckets of their own with `bucket()`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from whence_aggregator.accounts.arns import bucket_arn
from whence_aggregator.accounts.found import FoundAccount, stated_tags
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, of, own_tags
from whence_aggregator.accounts.steps.bucket_parts import OWN_PREFIX, rules_by_id, statements_by_sid
from whence_common.errors import InputError

BUCKET = ResourceKind(
    name="bucket",
    step="buckets",
    reads=(
        "s3:ListAllMyBuckets", "s3:GetBucketLocation", "s3:GetBucketTagging", "s3:GetBucketPublicAccessBlock",
        "s3:GetBucketOwnershipControls", "s3:GetEncryptionConfiguration", "s3:GetBucketVersioning",
        "s3:GetLifecycleConfiguration", "s3:GetBucketPolicy", "s3:GetBucketLogging", "tag:GetResources",
    ),
    writes=(
        "s3:CreateBucket", "s3:TagResource", "s3:PutBucketTagging", "s3:PutBucketPublicAccessBlock",
        "s3:PutBucketOwnershipControls", "s3:PutEncryptionConfiguration", "s3:PutBucketVersioning",
        "s3:PutLifecycleConfiguration", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy", "s3:PutBucketLogging",
        "s3:DeleteBucket",
    ),
    after=("key", "role"),
    fixed=("region",),
    keeps_data=True,
)  # fmt: skip
TLS_ONLY_SID = f"{OWN_PREFIX}TlsOnly"
SSE_S3: Mapping[str, Json] = MappingProxyType({"algorithm": "AES256", "key": None, "bucket_key": False})
"""AWS's own default since 2023."""
PUBLIC_ACCESS_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")


_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def bucket(
    name: str,
    region: str,
    *,
    statements: Sequence[Mapping[str, Any]] = (),
    versioning: bool | None = None,
    lifecycle: Sequence[Mapping[str, Any]] | None = None,
    encryption: Mapping[str, Json] | None = SSE_S3,
    tags: Mapping[str, str] | None = None,
    public_access_block: bool = True,
    ownership: str = "BucketOwnerEnforced",
    tls_only: bool = True,
    logging_target: str | None = None,
) -> WantedResource:
    """Return a bucket; its address is `bucket/NAME`, its outputs are `name` and `arn`.

    `statements` are those of its policy; statements of others stay. None for `versioning`, `lifecycle` (rules as
    AWS's API has them) and `encryption` (in the form of `bucket_parts.encryption`) leaves it as it is.
    `logging_target` is the name of another bucket that is configured too. `tls_only` refuses requests without TLS.
    """
    refusal = (tls_only_statement(name, region),) if tls_only else ()
    state: dict[str, Json] = {
        "region": region,
        "tags": own_tags(tags=tags),
        "public_access_block": dict.fromkeys(PUBLIC_ACCESS_BLOCKS, public_access_block),
        "ownership": ownership,
    }
    if encryption is not None:
        state["encryption"] = dict(encryption)
    if versioning is not None:
        state["versioning"] = versioning
    if lifecycle is not None:
        state["lifecycle"] = rules_by_id(lifecycle)
    state["policy"] = statements_by_sid((*statements, *refusal))
    if logging_target is not None:
        target: Json = name if logging_target == name else of(f"{BUCKET.name}/{logging_target}", "name")
        state["logging"] = {"target": target, "prefix": "logs/"}
    return WantedResource(kind=BUCKET, name=name, state=state)


def checked_name(name: str, path: str) -> str:
    """Return a name that S3 accepts. Raises InputError for another one; `path` is its key in the configuration."""
    if _NAME.fullmatch(name) is None:
        message = f"{path}: {name[:80]!r} is not a bucket name"
        raise InputError("accounts-bucket-name", message, fix="use 3 to 63 lower-case letters, digits, dots and dashes")
    return name


def further_parts(wanted: WantedResource, found: FoundAccount) -> list[str]:
    """Return what a bucket has besides what is wanted of it, which stays, in words."""
    standing = next(one for one in found.of(BUCKET.name) if one.name == wanted.name)
    parts = [
        f"{what} {part}" for aspect, what in (("policy", "statement"), ("lifecycle", "lifecycle rule"))
        for part in sorted(set(_names(standing.state[aspect])) - set(_names(wanted.state.get(aspect))))
    ]  # fmt: skip
    tags = set(stated_tags(standing.state["tags"])) - set(_names(wanted.state["tags"]))
    parts += [f"tag {one}" for one in sorted(tags)]
    parts += ["delivery of access logs"] if standing.state["logging"] and "logging" not in wanted.state else []
    return [f"bucket {wanted.name}: its {one} is not stated, and stays" for one in parts]


def _names(value: Json) -> Sequence[str]:
    return list(value) if isinstance(value, Mapping) else ()


def is_log_target(name: str, found: FoundAccount) -> bool:
    """Return whether access logs of another bucket are delivered to a bucket: s3_buckets states it, then."""
    logging = (one.state["logging"] for one in found.of(BUCKET.name) if one.name != name)
    return any(isinstance(one, Mapping) and one["target"] == name for one in logging)


def tls_only_statement(name: str, region: str) -> Mapping[str, Any]:
    """Return the statement that refuses every request without TLS."""
    return {
        "Sid": TLS_ONLY_SID, "Effect": "Deny", "Principal": "*", "Action": "s3:*",
        "Resource": [bucket_arn(name, region), f"{bucket_arn(name, region)}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }  # fmt: skip
