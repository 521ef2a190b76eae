"""A bucket of credentials on moto, behind a proxy that counts and judges calls as S3 does, and its owner."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from fakes.account_world import REGION, new_account_id
from fakes.counted_aws import Answer, AwsCall, CountedAws
from fakes.s3_rules import S3Rules, refused
from whence_aggregator.adapters.aws_clients import AssumedRole, ServiceClients
from whence_aggregator.adapters.mint.bucket_calls import BucketCalls
from whence_aggregator.adapters.mint.credential_buckets import S3CredentialBuckets
from whence_aggregator.mint.bucket_places import BucketPlaces, BucketRow
from whence_aggregator.mint.bucket_safety import PUBLIC_ACCESS_BLOCKS

Fault = Callable[[AwsCall], web.Response | None]
EXTERNAL_ID = "only-mint-7f3a"
RULE = {
    "ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
}  # fmt: skip


@dataclass
class Seconds:
    """A clock in seconds that stands still until it is told to move."""

    at: float = 1_000.0

    def __call__(self) -> float:
        return self.at


@dataclass
class MintBucketWorld:
    """One account with one bucket as credentials require it. `fault` may answer a call in S3's place."""

    aws: CountedAws
    owner: ServiceClients
    clients: ServiceClients
    clock: Seconds
    rules: S3Rules = field(default_factory=S3Rules)
    account_id: str = field(default_factory=new_account_id)
    pauses: list[float] = field(default_factory=list)
    fault: Answer = lambda _: None
    seconds_max: float = 25.0
    role: str = "arn:aws:iam::{account_id}:role/whence-mint"
    """Who writes; empty: mint's own role."""

    def __post_init__(self) -> None:
        self.bucket = f"t{secrets.token_hex(5)}-stups-mint-{self.account_id}-{REGION}"
        self.role = self.role.replace("{account_id}", self.account_id)
        self.aws.before = self._before
        self.buckets = self.opened()

    def opened(self) -> S3CredentialBuckets:
        """Return the adapter as a process opens it that has just begun."""
        row = BucketRow(
            pattern="{prefix}-stups-mint-{account_id}-" + REGION, region=REGION,
            role=self.role, external_id=EXTERNAL_ID if self.role else None,
        )  # fmt: skip
        calls = BucketCalls(
            clients=self.clients, pause=self._pause, random=lambda: 0.5, seconds_max=self.seconds_max
        )  # fmt: skip
        places = BucketPlaces([row], accounts=frozenset([self.account_id]))
        return S3CredentialBuckets(calls=calls, places=places, clock=self.clock)

    async def s3(self) -> Any:
        """Return the client of the bucket's owner, past the proxy."""
        return await self.owner.get("s3", REGION, AssumedRole(f"arn:aws:iam::{self.account_id}:role/owner"))

    async def make(self) -> None:
        """Create the bucket, and make it safe."""
        s3 = await self.s3()
        await s3.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        self.rules.owners[self.bucket] = self.account_id
        await s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        await s3.put_public_access_block(
            Bucket=self.bucket, PublicAccessBlockConfiguration=dict.fromkeys(PUBLIC_ACCESS_BLOCKS, True)
        )
        rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        await s3.put_bucket_encryption(
            Bucket=self.bucket, ServerSideEncryptionConfiguration={"Rules": rules}
        )  # fmt: skip
        await self.set_lifecycle(RULE)

    async def set_lifecycle(self, *rules: dict[str, Any]) -> None:
        s3 = await self.s3()
        await s3.put_bucket_lifecycle_configuration(Bucket=self.bucket, LifecycleConfiguration={"Rules": list(rules)})

    def count(self, name: str) -> int:
        """Return how often an operation was called."""
        return sum(one.name == name for one in self.aws.calls)

    async def _before(self, call: AwsCall) -> web.Response | None:
        found = self.fault(call)
        found = await found if isinstance(found, Awaitable) else found
        return found or self.rules.answer(call)

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


@dataclass(frozen=True)
class MintAws:
    """A proxy before moto with the clients of mint and of the owner, for many worlds: to open a client takes long."""

    aws: CountedAws
    owner: ServiceClients
    clients: ServiceClients
    clock: Seconds
    account_id: str = field(default_factory=new_account_id)

    async def world(self, **about: Any) -> MintBucketWorld:
        """Make a world, which ends the one before. All are in one account unless another is stated."""
        about = {"account_id": self.account_id, **about}
        world = MintBucketWorld(self.aws, self.owner, self.clients, self.clock, **about)
        await world.make()
        self.aws.forget()
        return world


@asynccontextmanager
async def mint_aws(backend: str) -> AsyncIterator[MintAws]:
    """Open clients of a running moto server."""
    clock = Seconds()
    owner = ServiceClients(endpoint_url=backend, session_name="owner", clock=clock)
    async with CountedAws(backend).serve() as aws:
        clients = ServiceClients(endpoint_url=aws.url, session_name="whence-mint", clock=clock, attempts_max=1)
        try:
            yield MintAws(aws, owner, clients, clock)
        finally:
            await clients.close()
            await owner.close()


def on(name: str, code: str, status: int, message: str = "as S3 states it", **headers: str) -> Fault:
    """Return a fault that refuses an operation of S3."""
    return lambda call: refused(code, message, status, **headers) if call.name == name else None


def once(fault: Fault) -> Fault:
    """Return a fault that answers one call only."""
    return times(1, fault)


def times(number: int, fault: Fault) -> Fault:
    """Return a fault that answers so many calls."""
    left = [number]

    def limited(call: AwsCall) -> web.Response | None:
        found = fault(call) if left[0] else None
        left[0] -= found is not None
        return found

    return limited
