"""Settings of a bucket, as S3 states them: five calls, and more only where the first answers leave it open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.adapters.mint.bucket_calls import PlacedCalls
from whence_aggregator.mint.bucket_safety import PUBLIC_ACCESS_BLOCKS, BucketSettings
from whence_aggregator.mint.ports import BucketUnavailable

_NO_BLOCK = "NoSuchPublicAccessBlockConfiguration"
_REGIONS = {None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}
"""What GetBucketLocation returns for the two regions that were first."""


async def read_settings(calls: PlacedCalls) -> BucketSettings:
    """Read what credentials require of a bucket. Raises BucketUnavailable, BucketUnsafe."""
    region = (await calls.make("get_bucket_location", "s3:GetBucketLocation")).get("LocationConstraint")
    encryption = await calls.make(
        "get_bucket_encryption", "s3:GetEncryptionConfiguration",
        absent_code="ServerSideEncryptionConfigurationNotFoundError",
    )  # fmt: skip
    versioning = await calls.make("get_bucket_versioning", "s3:GetBucketVersioning")
    lifecycle = await calls.make(
        "get_bucket_lifecycle_configuration", "s3:GetLifecycleConfiguration",
        absent_code="NoSuchLifecycleConfiguration",
    )  # fmt: skip
    return BucketSettings(
        region=_REGIONS.get(region, str(region)), encryption=_algorithm(encryption),
        versioning=str(versioning.get("Status", "")), rules=lifecycle.get("Rules", []), blocks=await _blocks(calls),
        ownership=await _ownership(calls),
    )  # fmt: skip


async def _blocks(calls: PlacedCalls) -> frozenset[str]:
    """Return the blocks in force: of the bucket and, if it lacks one, of its account."""
    name = "get_public_access_block"
    blocks = _blocks_of(await calls.make(name, "s3:GetBucketPublicAccessBlock", absent_code=_NO_BLOCK))
    if blocks >= PUBLIC_ACCESS_BLOCKS:
        return blocks
    try:
        return blocks | _blocks_of(
            await calls.make_of_account(name, "s3:GetAccountPublicAccessBlock", absent_code=_NO_BLOCK)
        )
    except BucketUnavailable as exc:
        if exc.code != "mint-bucket-denied":
            raise
        return blocks  # NOTE: a role that may not read the account's blocks has a bucket with blocks of its own


async def _ownership(calls: PlacedCalls) -> str:
    """Return who owns objects, which is asked only where it is not the bucket's account anyway."""
    if not calls.place.is_written_from_elsewhere:
        return ""
    answer = await calls.make(
        "get_bucket_ownership_controls", "s3:GetBucketOwnershipControls", absent_code="OwnershipControlsNotFoundError"
    )
    rules = answer.get("OwnershipControls", {}).get("Rules", [])
    return str(next((one.get("ObjectOwnership", "") for one in rules), ""))


def _algorithm(answer: Mapping[str, Any]) -> str:
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    return str(next((one.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm", "") for one in rules), ""))


def _blocks_of(answer: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name, is_on in answer.get("PublicAccessBlockConfiguration", {}).items() if is_on is True)
