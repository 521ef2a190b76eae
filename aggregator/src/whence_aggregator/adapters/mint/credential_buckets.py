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

from whence_aggregator.adapters.mint.bucket_calls import BucketCalls, PlacedCalls
from whence_aggregator.adapters.mint.bucket_settings import read_settings
from whence_aggregator.mint.bucket_places import BucketPlaces
from whence_aggregator.mint.bucket_safety import check_bucket
from whence_aggregator.mint.ports import BucketUnavailable, BucketUnsafe
from whence_aggregator.mint.values import ObjectVersion
from whence_common.clock import to_instant

CHECKED_SECONDS = 3_600.0
"""How long a bucket that was found safe is not looked at again."""
_VERSIONS_MAX = 100


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
        await self._check(self._calls.of(self._places.of(bucket)))

    async def put(self, bucket: str, key: str, content: bytes, metadata: Mapping[str, str]) -> str:
        """Write an object, after a check of its bucket; return its VersionId."""
        calls = self._calls.of(self._places.of(bucket))
        await self._check(calls)
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        more = {"Key": key, "Body": content, "ContentType": "application/json", "Metadata": dict(metadata),
                "ChecksumSHA256": checksum}  # fmt: skip
        answer = await calls.make("put_object", "s3:PutObject", more)
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
        calls = self._calls.of(self._places.of(bucket))
        more = {"Prefix": key, "MaxKeys": _VERSIONS_MAX}
        answer = await calls.make("list_object_versions", "s3:ListBucketVersions", more)
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
        await self._calls.of(self._places.of(bucket)).make("delete_object", "s3:DeleteObject", {"Key": key})

    async def _check(self, calls: PlacedCalls) -> None:
        bucket = calls.place.bucket
        if self._clock() < self._checked_until.get(bucket, float("-inf")):
            return
        check_bucket(calls.place, await read_settings(calls))
        self._checked_until[bucket] = self._clock() + self._checked_seconds


def _version(found: Mapping[str, Any], *, is_deletion: bool) -> ObjectVersion:
    modified = found["LastModified"]
    assert isinstance(modified, datetime)
    return ObjectVersion(
        version_id=str(found["VersionId"]), is_latest=bool(found["IsLatest"]), is_deletion=is_deletion,
        modified_at=to_instant(modified),
    )  # fmt: skip
