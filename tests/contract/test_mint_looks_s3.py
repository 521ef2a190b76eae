"""mint looks at a bucket in S3, by a role that cannot read it: one listing tells what somebody else did there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from fakes.mint_bucket_world import MintAws, MintBucketWorld, mint_aws, on
from fakes.mint_house import MintReplica, MintWorld, of_provider
from landscape.aws import Aws
from whence_aggregator.ports import Database

KEY = "greeter/client.json"


@pytest.fixture(scope="module")
async def aws(moto: Aws) -> AsyncIterator[MintAws]:
    async with mint_aws(moto.url) as opened:
        yield opened


@dataclass
class InS3:
    """mint with an application whose credential is in a bucket in S3."""

    mint: MintReplica
    s3: MintBucketWorld

    async def looked(self) -> dict[str, str]:
        """Have mint look for an hour, and again; return the problems, by step."""
        for seconds in (3_600.0, 61.0):
            self.mint.world.clock.advance(seconds)
            await self.mint.run("greeter")
        failures = (await self.mint.state("greeter")).stored.failures
        return {step: one.code for step, one in failures.items() if step != "client"}

    async def tampered(self) -> list[str]:
        return [one["reason"] for one in await self.mint.logged() if one["step"] == "tampered"]


@pytest.fixture
async def minted(database: Database, aws: MintAws) -> InS3:
    world, s3 = MintWorld(), await aws.world()
    world.register("greeter")
    world.provider.on_change = lambda: None
    world.buckets = s3.buckets  # type: ignore[assignment]  # the real ones
    mint = MintReplica(database, world)
    await mint.ledger.start()
    await mint.write("greeter", s3.bucket, credentials=("client",))
    await mint.run("greeter")
    s3.aws.forget()
    return InS3(mint, s3)


async def test_an_untouched_bucket_costs_one_listing_an_hour_and_no_other_request(minted: InS3) -> None:
    assert await minted.looked() == {}
    assert [one.name for one in minted.s3.aws.calls if one.name.startswith("s3:")] == ["s3:ListObjectVersions"]


async def test_a_version_that_its_owner_destroyed_is_noticed_and_written_again(minted: InS3) -> None:
    (own,) = await minted.s3.buckets.versions(minted.s3.bucket, KEY)
    s3 = await minted.s3.s3()
    await s3.delete_object(Bucket=minted.s3.bucket, Key=KEY, VersionId=own.version_id)
    assert await minted.looked() == {}
    (reason,) = await minted.tampered()
    assert reason == (
        f"bucket {minted.s3.bucket} has no object {KEY}; the version that mint wrote, {own.version_id}, is gone"
    )
    (after,) = await minted.s3.buckets.versions(minted.s3.bucket, KEY)
    assert after.version_id != own.version_id


@pytest.mark.parametrize("is_deletion", [False, True])
async def test_what_somebody_else_did_within_the_minute_of_mints_write_may_be_a_lost_answer(
    minted: InS3, is_deletion: bool
) -> None:
    s3 = await minted.s3.s3()
    if is_deletion:
        await s3.delete_object(Bucket=minted.s3.bucket, Key=KEY)
    else:
        await s3.put_object(Bucket=minted.s3.bucket, Key=KEY, Body=b"{}")
    of_provider(minted.mint.world, "make", "away")
    assert await minted.looked() == {f"bucket client {minted.s3.bucket}": "bucket-unrecorded"}
    assert await minted.tampered() == []


@pytest.mark.parametrize("code, status", [("AccessDenied", 403), ("SlowDown", 503)])
async def test_a_listing_that_s3_refuses_is_unknown(minted: InS3, code: str, status: int) -> None:
    s3 = await minted.s3.s3()
    await s3.put_object(Bucket=minted.s3.bucket, Key=KEY, Body=b"{}")
    minted.s3.fault = on("s3:ListObjectVersions", code, status)
    problems = {"AccessDenied": "mint-bucket-denied", "SlowDown": "mint-bucket-throttled"}
    assert await minted.looked() == {f"look client {minted.s3.bucket}": problems[code]}
    assert (await minted.tampered(), len(await minted.mint.steps())) == ([], 4)
