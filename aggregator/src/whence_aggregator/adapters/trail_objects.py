"""A trail's objects in S3: log files and digest files, read within a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from botocore.exceptions import ClientError

from whence_aggregator.adapters.aws_clients import CALL_FAILURES, AssumedRole, ServiceClients
from whence_aggregator.events.log_file import COMPRESSED_BYTES_MAX
from whence_aggregator.events.ports import ReadObject
from whence_aggregator.events.refused import TrailRefused
from whence_common.errors import one_line

_METADATA_CHARACTERS_MAX = 2_048
"""S3's own bound on an object's metadata."""


@dataclass(frozen=True, slots=True)
class TrailBucket:
    """The region of a bucket, and the role to read it with."""

    region: str
    role: AssumedRole | None


class S3TrailObjects:
    """Reads objects of the buckets in the settings."""

    def __init__(self, *, clients: ServiceClients, buckets: Mapping[str, TrailBucket]) -> None:
        self._clients = clients
        self._buckets = buckets

    async def read(self, bucket: str, key: str, *, unless_etag: str = "") -> ReadObject | None:
        """Return an object; None when it still has this ETag. Raises SourceUnavailable and TrailRefused."""
        place, name = self._buckets[bucket], one_line(f"s3://{bucket}/{key}", 300)
        condition = {"IfNoneMatch": f'"{unless_etag}"'} if unless_etag else {}
        try:
            s3 = await self._clients.get("s3", place.region, place.role)
            answer = await s3.get_object(Bucket=bucket, Key=key, **condition)
            async with answer["Body"] as body:
                if int(answer.get("ContentLength", 0)) > COMPRESSED_BYTES_MAX:
                    raise TrailRefused("file-too-large", f"{name} has more than {COMPRESSED_BYTES_MAX} bytes")
                content: bytes = await body.read(COMPRESSED_BYTES_MAX + 1)
        except ClientError as exc:
            code = exc.response.get("Error", {}).get("Code", "")
            if code in ("304", "NotModified"):
                return None
            if code in ("NoSuchKey", "404"):
                raise TrailRefused("object-missing", f"{name} does not exist") from exc
            raise self._clients.failed(place.region, place.role, name, exc) from exc
        except CALL_FAILURES as exc:
            raise self._clients.failed(place.region, place.role, name, exc) from exc
        metadata = answer.get("Metadata", {})
        return ReadObject(
            content=content,
            etag=str(answer.get("ETag", "")).strip('"')[:200],
            signature=str(metadata.get("signature", ""))[:_METADATA_CHARACTERS_MAX],
            generated_at=str(metadata.get("backfill-generation-timestamp", ""))[:40],
        )
