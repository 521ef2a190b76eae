"""Buckets of credentials in S3: each is checked before it is written, and what was written is verified without a read.

The writer has no GetObject. S3 verifies the SHA-256 checksum of what it is sent, and lists the versions of an object.
Every call states the account that the bucket must belong to.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from whence_aggregator.adapters.mint.bucket_calls import BucketCall, BucketCalls
from whence_aggregator.mint.bucket_places import BucketPlace, BucketPlaces
from whence_aggregator.mint.bucket_safety import PUBLIC_ACCESS_BLOCKS, BucketSettings, check_bucket
from whence_aggregator.mint.ports import BucketUnavailable, BucketUnsafe
from whence_aggregator.mint.values import ObjectVersion
from whence_common.clock import to_instant

CHECKED_SECONDS = 3_600.0
"""How long a bucket that was found safe is not looked at again."""
_VERSIONS_MAX = 100
_NO_BLOCK = "NoSuchPublicAccessBlockConfiguration"


class S3CredentialBuckets:
    """Buckets of the places in the settings. `clock` is in seconds and never set back."""

    def __init__(
        self,
        *,
        calls: BucketCalls,
        places: BucketPlaces,
        clock: Callable[[], float],
        checked_seconds: float = CHECKED_SECONDS,
    ) -> None:
        self._calls = calls
        self._places = places
        self._clock = clock
        self._checked_seconds = checked_seconds
        self._checked_until: dict[str, float] = {}

    async def check(self, bucket: str) -> None:
        """Raise BucketUnsafe unless the bucket is as credentials require it. What was found safe lately is not read."""
        place = self._places.of(bucket)
        if self._clock() < self._checked_until.get(bucket, float("-inf")):
            return
        check_bucket(place, await self._settings(place))
        self._checked_until[bucket] = self._clock() + self._checked_seconds

    async def put(self, bucket: str, key: str, content: bytes, metadata: Mapping[str, str]) -> str:
        """Write an object, after a check of its bucket; return its VersionId."""
        await self.check(bucket)
        place = self._places.of(bucket)
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        more = {"Key": key, "Body": content, "ContentType": "application/json", "Metadata": dict(metadata),
                "ChecksumSHA256": checksum}  # fmt: skip
        answer = await self._make(place, "put_object", "s3:PutObject", more)
        if answer.get("ChecksumSHA256", checksum) != checksum:  # NOTE: emulators of S3 return none
            message = f"S3 did not write to the bucket {bucket} what it was sent: it states another checksum"
            raise BucketUnavailable("mint-bucket-checksum", message)
        version = str(answer.get("VersionId", ""))
        if version in ("", "null"):
            self._checked_until.pop(bucket, None)
            fix = "enable versioning (whence-accounts: mint_bucket); the credential is written again"
            raise BucketUnsafe("mint-bucket-unversioned", f"the bucket {bucket} keeps no versions", fix=fix)
        return version

    async def versions(self, bucket: str, key: str) -> Sequence[ObjectVersion]:
        """Return the versions of an object, the newest first, at most 100.

        One page is enough: of all keys with the prefix, S3 lists the key itself first, its newest version first.
        """
        place = self._places.of(bucket)
        more = {"Prefix": key, "MaxKeys": _VERSIONS_MAX}
        answer = await self._make(place, "list_object_versions", "s3:ListBucketVersions", more)
        try:
            found = [_version(one, is_deletion=False) for one in answer.get("Versions", []) if one["Key"] == key]
            found += [_version(one, is_deletion=True) for one in answer.get("DeleteMarkers", []) if one["Key"] == key]
        except KeyError as exc:
            message = f"S3 lists versions in the bucket {bucket} without {exc}"
            raise BucketUnavailable("mint-bucket-answer", message) from exc
        found.sort(key=lambda one: (one.is_latest, one.modified_at), reverse=True)
        return found[:_VERSIONS_MAX]

    async def remove(self, bucket: str, key: str) -> None:
        """Hide an object by a deletion."""
        await self._make(self._places.of(bucket), "delete_object", "s3:DeleteObject", {"Key": key})

    async def _settings(self, place: BucketPlace) -> BucketSettings:
        region = (await self._make(place, "get_bucket_location", "s3:GetBucketLocation")).get("LocationConstraint")
        encryption = await self._make(
            place, "get_bucket_encryption", "s3:GetEncryptionConfiguration",
            absent_code="ServerSideEncryptionConfigurationNotFoundError",
        )  # fmt: skip
        versioning = await self._make(place, "get_bucket_versioning", "s3:GetBucketVersioning")
        lifecycle = await self._make(
            place, "get_bucket_lifecycle_configuration", "s3:GetLifecycleConfiguration",
            absent_code="NoSuchLifecycleConfiguration",
        )  # fmt: skip
        return BucketSettings(
            region={None: "us-east-1", "": "us-east-1", "EU": "eu-west-1"}.get(region, str(region)),
            encryption=_algorithm(encryption), versioning=str(versioning.get("Status", "")),
            rules=lifecycle.get("Rules", []), blocks=await self._blocks(place), ownership=await self._ownership(place),
        )  # fmt: skip

    async def _ownership(self, place: BucketPlace) -> str:
        """Return who owns objects, which is asked only where it is not the bucket's account anyway."""
        if not place.is_written_from_elsewhere:
            return ""
        answer = await self._make(
            place, "get_bucket_ownership_controls", "s3:GetBucketOwnershipControls",
            absent_code="OwnershipControlsNotFoundError",
        )  # fmt: skip
        rules = answer.get("OwnershipControls", {}).get("Rules", [])
        return str(next((one.get("ObjectOwnership", "") for one in rules), ""))

    async def _blocks(self, place: BucketPlace) -> frozenset[str]:
        """Return the blocks in force: of the bucket and, if it lacks one, of its account."""
        name, action = "get_public_access_block", "s3:GetBucketPublicAccessBlock"
        blocks = _blocks_of(await self._make(place, name, action, absent_code=_NO_BLOCK))
        if blocks >= PUBLIC_ACCESS_BLOCKS:
            return blocks
        call = BucketCall(
            service="s3control", operation=name, action="s3:GetAccountPublicAccessBlock", absent_code=_NO_BLOCK,
            parameters={"AccountId": place.account_id},
        )  # fmt: skip
        try:
            return blocks | _blocks_of(await self._calls.make(place, call))
        except BucketUnavailable as exc:
            if exc.code != "mint-bucket-denied":
                raise
            return blocks  # NOTE: a role that may not read the account's blocks has a bucket with blocks of its own

    async def _make(
        self, place: BucketPlace, operation: str, action: str, more: Mapping[str, Any] | None = None, *,
        absent_code: str = "",
    ) -> Mapping[str, Any]:  # fmt: skip
        parameters = {"Bucket": place.bucket, "ExpectedBucketOwner": place.account_id, **(more or {})}
        return await self._calls.make(
            place, BucketCall(operation=operation, action=action, parameters=parameters, absent_code=absent_code)
        )


def _version(found: Mapping[str, Any], *, is_deletion: bool) -> ObjectVersion:
    modified = found["LastModified"]
    assert isinstance(modified, datetime)
    return ObjectVersion(
        version_id=str(found["VersionId"]), is_latest=bool(found["IsLatest"]), is_deletion=is_deletion,
        modified_at=to_instant(modified),
    )  # fmt: skip


def _algorithm(answer: Mapping[str, Any]) -> str:
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules", [])
    return str(next((one.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm", "") for one in rules), ""))


def _blocks_of(answer: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(name for name, is_on in answer.get("PublicAccessBlockConfiguration", {}).items() if is_on is True)
