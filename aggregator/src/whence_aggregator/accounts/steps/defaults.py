"""Defaults of an account: public access to buckets; per region encrypted volumes, IMDSv2, sharing of images. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.defaults import MetadataDefaults
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.resources import Json, ResourceKind, State, WantedResource
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.buckets import PUBLIC_ACCESS_BLOCKS
from whence_aggregator.accounts.steps.keys import KEY, key_reference

SETTING = "account"
"""The name of every setting."""
METADATA = {
    "http_tokens": "HttpTokens", "hop_limit": "HttpPutResponseHopLimit", "http_endpoint": "HttpEndpoint",
    "instance_tags": "InstanceMetadataTags",
}  # fmt: skip
"""Keys of `instance_metadata`, and EC2's names."""
PUBLIC_ACCESS = ResourceKind(
    name="public-access", step="defaults", is_setting=True,
    reads=("s3:GetAccountPublicAccessBlock",), writes=("s3:PutAccountPublicAccessBlock",),
)  # fmt: skip
EBS = ResourceKind(
    name="ebs-encryption", step="defaults", is_setting=True, is_regional=True, after=(KEY.name,),
    reads=("ec2:GetEbsEncryptionByDefault", "ec2:GetEbsDefaultKmsKeyId"),
    writes=("ec2:EnableEbsEncryptionByDefault", "ec2:ModifyEbsDefaultKmsKeyId"),
)  # fmt: skip
INSTANCE_METADATA = ResourceKind(
    name="instance-metadata", step="defaults", is_setting=True, is_regional=True,
    reads=("ec2:GetInstanceMetadataDefaults",), writes=("ec2:ModifyInstanceMetadataDefaults",),
)  # fmt: skip
IMAGE_SHARING = ResourceKind(
    name="image-sharing", step="defaults", is_setting=True, is_regional=True,
    reads=("ec2:GetImageBlockPublicAccessState",), writes=("ec2:EnableImageBlockPublicAccess",),
)  # fmt: skip
SNAPSHOT_SHARING = ResourceKind(
    name="snapshot-sharing", step="defaults", is_setting=True, is_regional=True,
    reads=("ec2:GetSnapshotBlockPublicAccessState",), writes=("ec2:EnableSnapshotBlockPublicAccess",),
)  # fmt: skip


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    found = [
        WantedResource(kind=kind, name=SETTING, region=region, state=state)
        for region in account.regions for kind, state in _defaults(account, region) if state
    ]  # fmt: skip
    if account.settings.public_access_block:
        blocks: Json = dict.fromkeys(PUBLIC_ACCESS_BLOCKS, True)
        found.append(WantedResource(kind=PUBLIC_ACCESS, name=SETTING, state={"public_access_block": blocks}))
    return found


def _defaults(account: ConfiguredAccount, region: str) -> Iterator[tuple[ResourceKind, State]]:
    settings = account.settings
    yield EBS, _ebs(account, region)
    yield INSTANCE_METADATA, _metadata(settings.instance_metadata)
    yield IMAGE_SHARING, {"public": "block-new-sharing"} if settings.image_public_access_block else {}
    sharing = settings.snapshot_public_access_block
    yield SNAPSHOT_SHARING, {"public": sharing} if sharing is not None else {}


def _ebs(account: ConfiguredAccount, region: str) -> State:
    """Return the default encryption of volumes. The key comes first, so that no volume is encrypted with another."""
    key = account.settings.ebs_default_key
    path = f"accounts.{account.name}.ebs_default_key"
    state: dict[str, Json] = {"key": key_reference(key, account, region, path)} if key is not None else {}
    return {**state, **({"is_encrypted": True} if account.settings.ebs_encrypt_by_default else {})}


def _metadata(section: MetadataDefaults | None) -> State:
    if section is None:
        return {}
    stated = {name: getattr(section, key) for key, name in METADATA.items()}
    values: Json = {name: value for name, value in stated.items() if value is not None}
    return {"defaults": values} if values else {}


def stated(found: FoundAccount) -> StatedSection:
    """Return the settings that are the same in all regions."""
    values: dict[str, list[Any]] = {}
    for one in found.of(*(kind.name for kind in STEP.kinds)):
        values.setdefault(one.kind.name, []).append(one.state)
    same: dict[str, Any] = {name: many[0] for name, many in values.items() if all(one == many[0] for one in many)}
    blocks = same.get(PUBLIC_ACCESS.name, {}).get("public_access_block") or {}
    metadata = same.get(INSTANCE_METADATA.name, {}).get("defaults", {})
    sharing = same.get(SNAPSHOT_SHARING.name, {}).get("public")
    section = {key: metadata[name] for key, name in METADATA.items() if metadata.get(name) is not None}
    settings: dict[str, Json] = {
        "public_access_block": all(blocks.get(one) for one in PUBLIC_ACCESS_BLOCKS),
        "ebs_encrypt_by_default": bool(same.get(EBS.name, {}).get("is_encrypted")),
        "instance_metadata": {"http_tokens": None, **section} if section else None,
        "image_public_access_block": same.get(IMAGE_SHARING.name, {}).get("public") == "block-new-sharing",
        "snapshot_public_access_block": sharing if sharing != "unblocked" else None,
    }
    differing = [name for name, many in values.items() if any(one != many[0] for one in many)]
    text = "{}: it differs among the regions, and is left as it is"
    return StatedSection(
        section=settings,
        notes=tuple(ImportNote(key="ebs_encrypt_by_default", text=text.format(one)) for one in differing),
    )


STEP = AccountStep(
    name="defaults", summary="public access, encrypted volumes, IMDSv2 and sharing of images by default",
    kinds=(PUBLIC_ACCESS, EBS, INSTANCE_METADATA, IMAGE_SHARING, SNAPSHOT_SHARING), wanted=wanted, stated=stated,
)  # fmt: skip
