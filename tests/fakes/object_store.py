"""A mint bucket in memory. `fail_with` makes the next answers errors; passes the same contract test as S3."""

from __future__ import annotations

import asyncio
import hashlib

from whence_agent.ports import ObjectUnavailable, StoredObject


class FakeObjectStore:
    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, bytes]] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        """User metadata, by key."""
        self.versions: dict[str, str] = {}
        """VersionIds, by key."""
        self.fail_with: list[ObjectUnavailable] = []
        self.asked: list[tuple[str, str | None]] = []
        self.answering = asyncio.Event()
        """While it is not set, nothing is answered."""
        self.answering.set()

    async def get(self, bucket: str, key: str, *, etag: str | None) -> StoredObject | None:
        self.asked.append((key, etag))
        await self.answering.wait()
        if self.fail_with:
            raise self.fail_with.pop(0)
        if bucket not in self.buckets:
            raise ObjectUnavailable("bucket-missing", f"s3://{bucket}/{key}: no bucket")
        if key not in self.buckets[bucket]:
            raise ObjectUnavailable("not-synced", f"s3://{bucket}/{key}: no object")
        content = self.buckets[bucket][key]
        found = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        if found == etag:
            return None
        return StoredObject(
            content=content, etag=found, version_id=self.versions.get(key, ""), metadata=self.metadata.get(key, {})
        )
