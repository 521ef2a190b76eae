"""Buckets of credentials in memory, with versions and bad weather; and who holds which generation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from whence_aggregator.mint.ports import BucketGone, BucketUnavailable, BucketUnsafe
from whence_aggregator.mint.values import CredentialHolder, KioStanding, ObjectVersion
from whence_common.clock import Now, to_instant

BucketMishap = Literal["fine", "away", "lost", "forgets", "unsafe", "hangs"]
"""`away`: it fails before it acts; `lost`: after; `forgets`: it answers, and keeps nothing."""


@dataclass(frozen=True)
class FakeVersion:
    """A version of an object; a deletion has no content."""

    version_id: str
    content: bytes | None
    metadata: Mapping[str, str]
    modified_at: str = ""


def fine(_: str) -> BucketMishap:
    return "fine"


@dataclass
class FakeBuckets:
    """Implements CredentialBuckets. `weather` is asked before each request, by the bucket's name."""

    weather: Callable[[str], BucketMishap] = fine
    on_change: Callable[[], None] = lambda: None
    """Called after each change of an object."""
    objects: dict[tuple[str, str], list[FakeVersion]] = field(default_factory=dict)
    """By bucket and key; the newest version is last."""
    now: Now | None = None
    """The clock of S3."""
    foreign: set[str] = field(default_factory=set)
    """VersionIds of what somebody else wrote."""
    harmed: dict[tuple[str, str], str] = field(default_factory=dict)
    """By bucket and key that somebody else changed last: the version that is the newest since."""
    absent: set[str] = field(default_factory=set)
    """Buckets that do not exist."""
    requests: list[str] = field(default_factory=list)
    _version: int = 0

    def latest(self, bucket: str, key: str) -> dict[str, Any] | None:
        """Return the document that a reader gets; None: there is no object."""
        versions = self.objects.get((bucket, key))
        if not versions or versions[-1].content is None:
            return None
        found: dict[str, Any] = msgspec.json.decode(versions[-1].content)
        return found

    def documents(self) -> list[dict[str, Any]]:
        """Return every document that a reader of any bucket gets."""
        found = [self.latest(bucket, key) for bucket, key in self.objects]
        return [one for one in found if one is not None]

    async def check(self, bucket: str) -> None:
        await self._leaves(await self._arrives("check", bucket), bucket)

    async def put(self, bucket: str, key: str, content: bytes, metadata: Mapping[str, str]) -> str:
        mishap = await self._arrives("put", bucket)
        version = self._new(bucket, key, content if mishap != "forgets" else None, metadata, kept=mishap != "forgets")
        await self._leaves(mishap, bucket)
        return version

    async def versions(self, bucket: str, key: str) -> Sequence[ObjectVersion]:
        mishap = await self._arrives("versions", bucket)
        kept = self.objects.get((bucket, key), [])[::-1][:100]
        await self._leaves(mishap, bucket)
        return [
            ObjectVersion(
                version_id=one.version_id,
                is_latest=place == 0,
                is_deletion=one.content is None,
                modified_at=one.modified_at,
            )
            for place, one in enumerate(kept)
        ]

    async def remove(self, bucket: str, key: str) -> None:
        mishap = await self._arrives("remove", bucket)
        self._new(bucket, key, None, {}, kept=True)
        await self._leaves(mishap, bucket)

    def overwrite(self, bucket: str, key: str, content: bytes | None = b"{}") -> str:
        """Have somebody else write an object, or delete it; return the VersionId."""
        version = f"v{self._version + 1}"
        self.foreign.add(version)
        self.harmed[bucket, key] = version
        return self._new(bucket, key, content, {}, kept=True)

    def destroy(self, bucket: str, key: str) -> str:
        """Have somebody else delete the newest version; return that which is now the newest, or nothing."""
        left = self.objects[bucket, key][:-1]
        self.objects[bucket, key] = left
        self.harmed[bucket, key] = left[-1].version_id if left else ""
        return self.harmed[bucket, key]

    def is_harmed(self, bucket: str, key: str) -> bool:
        """Return whether a reader gets what somebody else has put there, or nothing."""
        versions = self.objects.get((bucket, key))
        newest = versions[-1].version_id if versions else ""
        return self.harmed.get((bucket, key)) == newest

    def _new(self, bucket: str, key: str, content: bytes | None, metadata: Mapping[str, str], *, kept: bool) -> str:
        self._version += 1
        version, at = f"v{self._version}", to_instant(self.now()) if self.now is not None else ""
        if kept:
            self.objects.setdefault((bucket, key), []).append(FakeVersion(version, content, dict(metadata), at))
            self.on_change()
        return version

    async def _arrives(self, request: str, bucket: str) -> BucketMishap:
        self.requests.append(f"{request} {bucket}")
        await asyncio.sleep(0)
        mishap = self.weather(bucket)
        if bucket in self.absent:
            raise BucketGone("bucket-missing", f"bucket {bucket} does not exist")
        if mishap == "away":
            raise BucketUnavailable("bucket-denied", f"S3 denies the request to {bucket}")
        if mishap == "unsafe":
            raise BucketUnsafe("bucket-unversioned", f"bucket {bucket} keeps no versions")
        return mishap

    async def _leaves(self, mishap: BucketMishap, bucket: str) -> None:
        await asyncio.sleep(0)
        if mishap == "lost":
            raise BucketUnavailable("bucket-unreachable", f"S3 closed the connection to {bucket}")
        if mishap == "hangs":
            raise TimeoutError


@dataclass
class FakeHolders:
    """Instances by application."""

    known: dict[str, list[CredentialHolder]] = field(default_factory=dict)

    async def of(self, application_id: str) -> Sequence[CredentialHolder]:
        await asyncio.sleep(0)
        return list(self.known.get(application_id, []))


@dataclass
class FakeStandings:
    """Applications as Kio has them."""

    known: dict[str, KioStanding] = field(default_factory=dict)

    async def standing(self, application_id: str) -> KioStanding | None:
        await asyncio.sleep(0)
        return self.known.get(application_id)
