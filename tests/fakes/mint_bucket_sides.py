"""What passes the contract of buckets of credentials, each with an owner who can do what the writer cannot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from fakes.mint_bucket_world import MintAws, MintBucketWorld
from fakes.mint_buckets import FakeBuckets
from fakes.s3_rules import refused
from whence_aggregator.mint.ports import CredentialBuckets


class BucketSide(Protocol):
    """One safe bucket, and what its owner, strangers and the network do."""

    @property
    def buckets(self) -> CredentialBuckets: ...

    @property
    def bucket(self) -> str: ...

    @property
    def unknown_bucket(self) -> str:
        """A bucket that does not exist, in a place where mint may write."""

    @property
    def foreign_bucket(self) -> str:
        """A bucket of an account where mint may not write."""

    async def overwrite(self, key: str) -> str:
        """Write over an object as a stranger; return the VersionId."""

    async def suspend_versioning(self) -> None: ...

    async def resume_versioning(self) -> None: ...

    async def content(self, key: str) -> tuple[bytes, Mapping[str, str]]:
        """Return an object and its metadata, as a reader gets them."""

    def deny(self) -> None:
        """Deny all that the writer does."""

    def silence(self) -> None:
        """Answer nothing in time, from now on."""


@dataclass
class S3Side:
    """The adapter on moto."""

    world: MintBucketWorld

    @property
    def buckets(self) -> CredentialBuckets:
        return self.world.buckets

    @property
    def bucket(self) -> str:
        return self.world.bucket

    @property
    def unknown_bucket(self) -> str:
        return f"missing-{self.world.bucket.partition('-')[2]}"

    @property
    def foreign_bucket(self) -> str:
        return self.world.bucket.replace(self.world.account_id, "999999999999")

    async def overwrite(self, key: str) -> str:
        s3 = await self.world.s3()
        answer = await s3.put_object(Bucket=self.bucket, Key=key, Body=b'{"application_password": "stranger"}')
        return str(answer["VersionId"])

    async def suspend_versioning(self) -> None:
        await self._version("Suspended")

    async def resume_versioning(self) -> None:
        await self._version("Enabled")

    async def _version(self, status: str) -> None:
        s3 = await self.world.s3()
        await s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": status})

    async def content(self, key: str) -> tuple[bytes, Mapping[str, str]]:
        s3 = await self.world.s3()
        answer = await s3.get_object(Bucket=self.bucket, Key=key)
        return await answer["Body"].read(), answer["Metadata"]

    def deny(self) -> None:
        self.world.fault = lambda call: (
            refused("AccessDenied", "Access Denied", 403) if call.name.startswith("s3:") else None
        )

    def silence(self) -> None:
        self.world.fault = lambda _: refused("SlowDown", "Please reduce your request rate.", 503)


async def _s3(aws: MintAws) -> BucketSide:
    return S3Side(await aws.world())


@dataclass
class FakeSide:
    """Buckets in memory."""

    buckets: FakeBuckets = field(default_factory=FakeBuckets)
    bucket: str = "acme-stups-mint-111111111111-eu-west-1"
    unknown_bucket: str = "missing-stups-mint-111111111111-eu-west-1"
    foreign_bucket: str = "acme-stups-mint-999999999999-eu-west-1"

    def __post_init__(self) -> None:
        self.buckets.absent |= {self.unknown_bucket, self.foreign_bucket}

    async def overwrite(self, key: str) -> str:
        return await self.buckets.put(self.bucket, key, b'{"application_password": "stranger"}', {})

    async def suspend_versioning(self) -> None:
        self.buckets.weather = lambda _: "unsafe"

    async def resume_versioning(self) -> None:
        self.buckets.weather = lambda _: "fine"

    async def content(self, key: str) -> tuple[bytes, Mapping[str, str]]:
        newest = self.buckets.objects[self.bucket, key][-1]
        assert newest.content is not None
        return newest.content, newest.metadata

    def deny(self) -> None:
        self.buckets.weather = lambda _: "away"

    def silence(self) -> None:
        self.buckets.weather = lambda _: "lost"


async def _fake(aws: MintAws) -> BucketSide:
    return FakeSide()


SIDES: Mapping[str, Callable[[MintAws], Awaitable[BucketSide]]] = {"s3": _s3, "fake": _fake}
"""By name, each made with the clients of moto."""
