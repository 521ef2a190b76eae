"""The bucket of minted credentials: one role writes it and cannot read it, and old versions are deleted. Pure.

The writer lists versions of objects, which shows what was written over its own, and reads the settings of the bucket,
which it checks before it writes. Readers need no statement here: the role `app-ID` of an application may read `ID/*` by
a policy of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import partition_of
from whence_aggregator.accounts.configuration.buckets import MintBucket
from whence_aggregator.accounts.resources import Json, WantedResource
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.buckets import BUCKET, SSE_S3, bucket, bucket_arn, checked_name
from whence_aggregator.accounts.steps.keys import key_reference
from whence_common.errors import InputError

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}")
_ACCOUNT = re.compile(r"(arn:aws[a-z-]*:iam::)?[0-9]{12}(:root)?|\*")
_INCOMPLETE_UPLOAD_DAYS = 7
WRITES = ("s3:PutObject", "s3:DeleteObject")
"""What the writer does with objects. DeleteObject hides an object and deletes no version of it."""
VERIFIES = (
    "s3:ListBucketVersions", "s3:GetBucketLocation", "s3:GetBucketOwnershipControls", "s3:GetBucketPublicAccessBlock",
    "s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
)  # fmt: skip
"""What the writer reads of the bucket. ListBucketVersions is the action of ListObjectVersions."""
_DENIED = ("s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket")


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    """Return one bucket per region, named by the convention by which STUPS's deploy tools guess.

    Raises InputError for a writer that is not a role.
    """
    section = account.settings.mint_bucket
    if section is None:
        return ()
    path = f"accounts.{account.name}.mint_bucket"
    writer = _writer(section, account, path)
    return [_bucket(section, writer, region, account, path) for region in section.regions or account.regions]


def bucket_name(section: MintBucket, account: ConfiguredAccount, region: str) -> str:
    """Return the name of the bucket of a region; with `*` as region, a pattern of all names."""
    prefix = (account.settings.alias or account.name).partition("-")[0]
    template = section.name if section.name is not None else f"{prefix}-stups-mint-{{account_id}}-{{region}}"
    return template.replace("{account_id}", account.account_id).replace("{region}", region)


def _writer(section: MintBucket, account: ConfiguredAccount, path: str) -> str:
    """Return the ARN of the role that writes. Raises InputError unless exactly one is stated."""
    own = section.writer_role
    if (own is None) == (section.writer is None):
        message = f"{path}: writer and writer_role are both stated, or neither"
        fix = "write writer_role: {trusted: [ARN of the role that mint runs as]}, or writer: ARN of a role that exists"
        raise InputError("accounts-mint-writer", message, fix=fix)
    if own is not None:
        return f"arn:{partition_of(account.regions[0])}:iam::{account.account_id}:role/{own.name}"
    assert section.writer is not None
    if _ROLE.fullmatch(section.writer) is None:
        message = f"{path}.writer: {section.writer[:200]!r} is not the ARN of a role"
        fix = "write the ARN of the role that writes credentials; the root of an account is everybody in it"
        raise InputError("accounts-mint-writer", message, fix=fix)
    return section.writer


def _bucket(section: MintBucket, writer: str, region: str, account: ConfiguredAccount, path: str) -> WantedResource:
    name = bucket_name(section, account, region)
    encryption: Mapping[str, Json] = SSE_S3
    if section.key is not None:
        key = key_reference(section.key, account, region, f"{path}.key")
        encryption = {"algorithm": "aws:kms", "key": key, "bucket_key": True}
    return bucket(
        checked_name(name, f"{path}.name"), region, statements=_statements(name, writer), versioning=True,
        lifecycle=(_old_versions(section.noncurrent_days),), encryption=encryption, tls_only=section.tls_only,
        tags=section.tags,
    )  # fmt: skip


def is_mint_of_an_account(statement: Mapping[str, Any]) -> bool:
    """Return whether a statement is Seven Seconds' AllowMintWrite for a whole account."""
    principal = statement.get("Principal")
    stated = principal.get("AWS", []) if isinstance(principal, Mapping) else principal
    named = stated if isinstance(stated, list | tuple) else [stated]
    return statement.get("Sid") == "AllowMintWrite" and any(_ACCOUNT.fullmatch(str(one)) for one in named)


def _statements(name: str, writer: str) -> Sequence[Mapping[str, Any]]:
    who, arn = {"AWS": writer}, bucket_arn(name)
    return (
        {"Sid": "WhenceMintWrite", "Effect": "Allow", "Principal": who, "Action": list(WRITES), "Resource": f"{arn}/*"},
        {"Sid": "WhenceMintVerify", "Effect": "Allow", "Principal": who, "Action": list(VERIFIES), "Resource": arn},
        {"Sid": "WhenceMintWriterReadsNothing", "Effect": "Deny", "Principal": who, "Action": list(_DENIED),
         "Resource": [arn, f"{arn}/*"]},
    )  # fmt: skip


def _old_versions(days: int) -> Mapping[str, Any]:
    return {
        "ID": "WhenceOldVersions", "Status": "Enabled", "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": days},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _INCOMPLETE_UPLOAD_DAYS},
    }  # fmt: skip


STEP = AccountStep(
    name="mint", summary="the bucket of minted credentials", kinds=(BUCKET,), wanted=wanted, is_for_whence=True
)
