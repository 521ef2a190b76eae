"""The bucket of minted credentials: one role writes it and cannot read it, and old versions are deleted. Pure.

The writer lists versions of objects, which shows what was written over its own, and reads the settings of the bucket,
which it checks before it writes. Readers need no statement here: the role `app-ID` of an application may read `ID/*` by
a policy of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.arns import bucket_arn, partition_of
from whence_aggregator.accounts.canonical import canonical_json
from whence_aggregator.accounts.configuration.buckets import MintBucket
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection, stated_tags
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps import keys
from whence_aggregator.accounts.steps.buckets import (
    BUCKET,
    SSE_S3,
    TLS_ONLY_SID,
    bucket,
    checked_name,
    further_parts,
    is_log_target,
)
from whence_aggregator.accounts.steps.keys import KEY, key_reference
from whence_common.errors import InputError

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]{1,576}")
_ACCOUNT = re.compile(r"(arn:aws[a-z-]*:iam::)?[0-9]{12}(:root)?|\*")
_INCOMPLETE_UPLOAD_DAYS = 7
_WRITE_SID, _READ_SID, _OLD_VERSIONS = "WhenceMintWrite", "WhenceMintWriterReadsNothing", "WhenceOldVersions"
_VERIFY_SID = "WhenceMintVerify"
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
        checked_name(name, f"{path}.name"), region, statements=_statements(name, region, writer),
        versioning=True, lifecycle=(_old_versions(section.noncurrent_days),), encryption=encryption,
        tls_only=section.tls_only, tags=section.tags,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedMint:
    """The section, the names of the buckets that it states, and notes."""

    section: Mapping[str, Json] | None = None
    buckets: tuple[str, ...] = ()
    notes: tuple[ImportNote, ...] = ()


def stated_mint(found: FoundAccount) -> StatedMint:
    """Return the section of the buckets that have our statements, if one section states all of them."""
    mints = [one for one in found.of(BUCKET.name) if _WRITE_SID in _parts(one.state["policy"])
             and not is_log_target(one.name, found)]  # fmt: skip
    if not mints:
        return StatedMint()
    names = tuple(sorted(one.name for one in mints))
    text = f"buckets with the statement {_WRITE_SID}, in s3_buckets: {', '.join(names)}"
    sections = {canonical_json(section): section for one in mints if (section := _stated_as(one, found)) is not None}
    regions = sorted(str(one.state["region"]) for one in mints)
    section = {**next(iter(sections.values()), {}), "regions": regions}
    is_one = len(sections) == 1 and len(set(regions)) == len(mints)
    if not is_one or found.refusal(_with_keys(section, found), wanted) is not None:
        return StatedMint(notes=(ImportNote(key="s3_buckets", text=f"{text}: no single mint_bucket states them"),))
    meant = wanted(found.account(_with_keys(section, found)))
    differing = found.differing(meant)
    if differing:
        about = "; ".join(f"{one} differs in {', '.join(aspects)}" for one, aspects in differing.items())
        return StatedMint(notes=(ImportNote(key="s3_buckets", text=f"{text}: no mint_bucket states them: {about}"),))
    further = [text for one in meant for text in further_parts(one, found)]
    return StatedMint(
        section=section, buckets=names, notes=tuple(ImportNote(key="mint_bucket", text=one) for one in further)
    )  # fmt: skip


def stated(found: FoundAccount) -> StatedSection:
    mint = stated_mint(found)
    return StatedSection(section={"mint_bucket": mint.section}, notes=mint.notes)


def _stated_as(bucket: StandingResource, found: FoundAccount) -> dict[str, Json] | None:
    """Return the section of one bucket without its regions, with `{region}` in its name; None for another form."""
    state: Mapping[str, Any] = bucket.state
    rule = state["lifecycle"].get(_OLD_VERSIONS)
    writers = state["policy"][_WRITE_SID].get("Principal", {}).get("AWS", [])
    if rule is None or len(writers) != 1:
        return None
    encryption, key = state["encryption"] or {}, None
    if encryption.get("algorithm") == "aws:kms":
        names = {one.outputs["arn"]: one.name for one in found.of(KEY.name, region=state["region"])}
        key = names.get(encryption["key"], encryption["key"])
    return {
        "name": bucket.name.replace(state["region"], "{region}"), "writer": writers[0],
        **({"key": key} if key is not None else {}),
        "noncurrent_days": rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"),
        "tags": stated_tags(state["tags"]), "tls_only": TLS_ONLY_SID in state["policy"],
    }  # fmt: skip


def _with_keys(section: Mapping[str, Json], found: FoundAccount) -> Mapping[str, Json]:
    return {"mint_bucket": section, **keys.stated(found).section}


def _parts(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def is_mint_of_an_account(statement: Mapping[str, Any]) -> bool:
    """Return whether a statement is Seven Seconds' AllowMintWrite for a whole account."""
    principal = statement.get("Principal")
    stated = principal.get("AWS", []) if isinstance(principal, Mapping) else principal
    named = stated if isinstance(stated, list | tuple) else [stated]
    return statement.get("Sid") == "AllowMintWrite" and any(_ACCOUNT.fullmatch(str(one)) for one in named)


def _statements(name: str, region: str, writer: str) -> Sequence[Mapping[str, Any]]:
    who, arn = {"AWS": writer}, bucket_arn(name, region)
    return (
        {"Sid": _WRITE_SID, "Effect": "Allow", "Principal": who, "Action": list(WRITES), "Resource": f"{arn}/*"},
        {"Sid": _VERIFY_SID, "Effect": "Allow", "Principal": who, "Action": list(VERIFIES), "Resource": arn},
        {"Sid": _READ_SID, "Effect": "Deny", "Principal": who, "Action": list(_DENIED),
         "Resource": [arn, f"{arn}/*"]},
    )  # fmt: skip


def _old_versions(days: int) -> Mapping[str, Any]:
    return {
        "ID": _OLD_VERSIONS, "Status": "Enabled", "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": days},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _INCOMPLETE_UPLOAD_DAYS},
    }  # fmt: skip


STEP = AccountStep(
    name="mint",
    summary="the bucket of minted credentials",
    kinds=(BUCKET,),
    wanted=wanted,
    stated=stated,
    is_for_whence=True,
)
