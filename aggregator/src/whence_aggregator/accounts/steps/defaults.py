"""Defaults of an account: public access to buckets; per region encrypted volumes, IMDSv2, sharing of images. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from whence_aggregator.accounts.account import Account
from whence_aggregator.accounts.configuration.defaults import InstanceMetadata
from whence_aggregator.accounts.resources import Json, Kind, State, Wanted
from whence_aggregator.accounts.step import Step
from whence_aggregator.accounts.steps.buckets import PUBLIC_ACCESS_BLOCKS
from whence_aggregator.accounts.steps.keys import KEY, key_reference

_SETTING = "account"
PUBLIC_ACCESS = Kind(
    name="public-access", step="defaults", is_setting=True,
    reads=("s3:GetAccountPublicAccessBlock",), writes=("s3:PutAccountPublicAccessBlock",),
)  # fmt: skip
EBS = Kind(
    name="ebs-encryption", step="defaults", is_setting=True, is_regional=True, after=(KEY.name,),
    reads=("ec2:GetEbsEncryptionByDefault", "ec2:GetEbsDefaultKmsKeyId"),
    writes=("ec2:EnableEbsEncryptionByDefault", "ec2:ModifyEbsDefaultKmsKeyId"),
)  # fmt: skip
INSTANCE_METADATA = Kind(
    name="instance-metadata", step="defaults", is_setting=True, is_regional=True,
    reads=("ec2:GetInstanceMetadataDefaults",), writes=("ec2:ModifyInstanceMetadataDefaults",),
)  # fmt: skip
IMAGE_SHARING = Kind(
    name="image-sharing", step="defaults", is_setting=True, is_regional=True,
    reads=("ec2:GetImageBlockPublicAccessState",), writes=("ec2:EnableImageBlockPublicAccess",),
)  # fmt: skip
SNAPSHOT_SHARING = Kind(
    name="snapshot-sharing", step="defaults", is_setting=True, is_regional=True,
    reads=("ec2:GetSnapshotBlockPublicAccessState",), writes=("ec2:EnableSnapshotBlockPublicAccess",),
)  # fmt: skip


def wanted(account: Account) -> Sequence[Wanted]:
    found = [
        Wanted(kind=kind, name=_SETTING, region=region, state=state)
        for region in account.regions for kind, state in _defaults(account, region) if state
    ]  # fmt: skip
    if account.settings.public_access_block:
        blocks: Json = dict.fromkeys(PUBLIC_ACCESS_BLOCKS, True)
        found.append(Wanted(kind=PUBLIC_ACCESS, name=_SETTING, state={"public_access_block": blocks}))
    return found


def _defaults(account: Account, region: str) -> Iterator[tuple[Kind, State]]:
    settings = account.settings
    yield EBS, _ebs(account, region)
    yield INSTANCE_METADATA, _metadata(settings.instance_metadata)
    yield IMAGE_SHARING, {"public": "block-new-sharing"} if settings.image_public_access_block else {}
    sharing = settings.snapshot_public_access_block
    yield SNAPSHOT_SHARING, {"public": sharing} if sharing is not None else {}


def _ebs(account: Account, region: str) -> State:
    """Return the default encryption of volumes. The key comes first, so that no volume is encrypted with another."""
    key = account.settings.ebs_default_key
    path = f"accounts.{account.name}.ebs_default_key"
    state: dict[str, Json] = {"key": key_reference(key, account, region, path)} if key is not None else {}
    return {**state, **({"is_encrypted": True} if account.settings.ebs_encrypt_by_default else {})}


def _metadata(section: InstanceMetadata | None) -> State:
    if section is None:
        return {}
    stated: dict[str, Json] = {
        "HttpTokens": section.http_tokens, "HttpPutResponseHopLimit": section.hop_limit,
        "HttpEndpoint": section.http_endpoint, "InstanceMetadataTags": section.instance_tags,
    }  # fmt: skip
    values: Json = {name: value for name, value in stated.items() if value is not None}
    return {"defaults": values} if values else {}


STEP = Step(
    name="defaults", summary="public access, encrypted volumes, IMDSv2 and sharing of images by default",
    kinds=(PUBLIC_ACCESS, EBS, INSTANCE_METADATA, IMAGE_SHARING, SNAPSHOT_SHARING), wanted=wanted,
)  # fmt: skip
