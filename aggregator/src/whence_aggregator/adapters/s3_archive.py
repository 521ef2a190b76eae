"""Bundles of old entries in S3: 256 verbatim entries an object, gzip, written once."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from typing import Any

from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from whence_aggregator.adapters.aws_refusals import FAILURES, refusal, why
from whence_aggregator.adapters.aws_session import aws_session
from whence_aggregator.ports import StorageUnavailable
from whence_common.merkle import TILE_WIDTH, group_digits

_OBJECT_BYTES_MAX = 256 * 1024 * 1024
_REQUEST_SECONDS_MAX = 30.0
_KEPT_MAX = 16


class S3Archive:
    """One bucket. An entry is four octets of length and its bytes; its place in a bundle is its index modulo 256."""

    def __init__(self, *, bucket: str, prefix: str, region: str, endpoint_url: str | None) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._region = region
        self._endpoint_url = endpoint_url
        self._kept: dict[int, Sequence[bytes]] = {}

    async def load(self, number: int) -> Sequence[bytes] | None:
        """Return a bundle's entries; None when the bundle does not exist. Raises StorageUnavailable."""
        if number in self._kept:
            return self._kept[number]
        try:
            async with self._client() as s3:
                answer = await s3.get_object(Bucket=self._bucket, Key=self._key(number))
                content = gzip.decompress(await answer["Body"].read())[:_OBJECT_BYTES_MAX]
        except ClientError as exc:
            if exc.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                return None
            raise _unavailable(exc) from exc
        except (*FAILURES, EOFError) as exc:
            raise _unavailable(exc) from exc
        if len(self._kept) >= _KEPT_MAX:
            self._kept.pop(next(iter(self._kept)))
        self._kept[number] = _split(content)
        return self._kept[number]

    async def store(self, number: int, entries: Sequence[bytes]) -> None:
        """Write a whole bundle. Raises StorageUnavailable."""
        assert len(entries) == TILE_WIDTH, "only full bundles are moved"
        content = b"".join(len(one).to_bytes(4, "big") + one for one in entries)
        try:
            async with self._client() as s3:
                await s3.put_object(
                    Bucket=self._bucket, Key=self._key(number), Body=gzip.compress(content, mtime=0),
                    ContentType="application/gzip",
                )  # fmt: skip
        except FAILURES as exc:
            raise _unavailable(exc) from exc

    def _client(self) -> Any:
        config = AioConfig(
            connect_timeout=_REQUEST_SECONDS_MAX, read_timeout=_REQUEST_SECONDS_MAX, retries={"max_attempts": 3}
        )
        return aws_session().create_client(
            "s3", region_name=self._region, endpoint_url=self._endpoint_url, config=config
        )

    def _key(self, number: int) -> str:
        return f"{self._prefix}entries/{group_digits(number)}.gz"


def _split(content: bytes) -> list[bytes]:
    found, at = [], 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        found.append(content[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def _unavailable(exc: Exception) -> StorageUnavailable:
    error = refusal(exc)
    fix = error.fix if error is not None and error.kind == "clock" else "check the bucket and the role"
    return StorageUnavailable("archive-unavailable", f"the archive of old entries is unavailable: {why(exc)}", fix=fix)
