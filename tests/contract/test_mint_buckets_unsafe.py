"""Buckets of credentials that are unsafe or tampered with: they are not written, or it is seen."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from botocore.exceptions import ClientError

from fakes.account_world import REGION, new_account_id
from fakes.counted_aws import AwsCall
from fakes.mint_bucket_world import RULE, MintAws, MintBucketWorld, mint_aws, on, once
from fakes.s3_rules import header
from landscape.aws import Aws
from whence_aggregator.adapters.aws_clients import AssumedRole
from whence_aggregator.mint.ports import BucketUnavailable, BucketUnsafe

KEY = "greeter/user.json"
CONTENT = b'{"application_password": "s3cret-of-one"}'
METADATA = {"whence-generation": "0123456789abcdef0123456789abcdef", "whence-files": "user.json"}
CHECK = [
    "s3:GetBucketLocation", "s3:GetBucketEncryption", "s3:GetBucketVersioning", "s3:GetBucketLifecycleConfiguration",
    "s3:GetPublicAccessBlock",
]  # fmt: skip


@pytest.fixture(scope="module")
async def aws(moto: Aws) -> AsyncIterator[MintAws]:
    async with mint_aws(moto.url) as opened:
        yield opened


@pytest.fixture
async def world(aws: MintAws) -> MintBucketWorld:
    return await aws.world()


async def put(world: MintBucketWorld) -> str:
    return await world.buckets.put(world.bucket, KEY, CONTENT, METADATA)


async def unsafe(work: Awaitable[object]) -> BucketUnsafe:
    with pytest.raises(BucketUnsafe) as found:
        await work
    assert found.value.fix
    return found.value


async def unavailable(work: Awaitable[object]) -> BucketUnavailable:
    with pytest.raises(BucketUnavailable) as found:
        await work
    assert "s3cret-of-one" not in found.value.diagnostics()
    return found.value


def names(world: MintBucketWorld) -> list[str]:
    return [one.name for one in world.aws.calls]


async def test_a_rotation_of_two_objects_makes_four_calls_and_five_more_after_a_start(world: MintBucketWorld) -> None:
    async def rotate() -> None:
        for key in ("greeter/user.json", "greeter/client.json"):
            await world.buckets.put(world.bucket, key, CONTENT, METADATA)
            await world.buckets.versions(world.bucket, key)

    rotation = ["s3:PutObject", "s3:ListObjectVersions"] * 2
    await put(world)
    world.aws.forget()
    world.buckets = world.opened()
    await rotate()
    assert names(world) == [*CHECK, *rotation]
    world.aws.forget()
    await rotate()
    assert names(world) == rotation


async def test_a_bucket_is_checked_again_after_an_hour(world: MintBucketWorld) -> None:
    await put(world)
    world.clock.at += 3_599
    await put(world)
    assert world.count("s3:GetBucketVersioning") == 1
    world.clock.at += 1
    await world.set_lifecycle({**RULE, "Status": "Disabled"})
    assert "no lifecycle rule deletes old versions" in (await unsafe(put(world))).message
    assert world.count("s3:PutObject") == 2


async def test_every_call_states_the_owner_and_every_put_its_checksum_and_type(world: MintBucketWorld) -> None:
    await put(world)
    await world.buckets.versions(world.bucket, KEY)
    await world.buckets.remove(world.bucket, KEY)
    assert world.rules.unowned == []
    assert {header(one, "x-amz-expected-bucket-owner") for one in world.aws.calls if one.name[:3] == "s3:"} == {
        world.account_id
    }
    (written,) = [one for one in world.aws.calls if one.name == "s3:PutObject"]
    assert header(written, "x-amz-checksum-sha256") == base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
    assert (header(written, "content-type"), header(written, "x-amz-acl")) == ("application/json", "")


async def test_the_writer_never_reads_an_object_nor_lists_keys(world: MintBucketWorld) -> None:
    await put(world)
    await world.buckets.versions(world.bucket, KEY)
    await world.buckets.remove(world.bucket, KEY)
    assert {"s3:GetObject", "s3:HeadObject", "s3:ListObjects", "s3:ListObjectsV2", "s3:HeadBucket"}.isdisjoint(
        names(world)
    )


async def test_a_wrong_checksum_is_refused_by_the_rules_that_s3_has(world: MintBucketWorld) -> None:
    s3 = await world.clients.get("s3", REGION, AssumedRole(world.role, "only-mint-7f3a"))
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    with pytest.raises(ClientError, match="BadDigest"):
        await s3.put_object(Bucket=world.bucket, Key=KEY, Body=CONTENT, ChecksumSHA256=wrong)


async def test_bytes_that_were_damaged_on_the_way_are_sent_again(world: MintBucketWorld) -> None:
    world.fault = once(on("s3:PutObject", "BadDigest", 400))
    version = await put(world)
    assert [one.version_id for one in await world.buckets.versions(world.bucket, KEY)] == [version]


async def test_bytes_that_are_always_damaged_are_reported(world: MintBucketWorld) -> None:
    world.fault = on("s3:PutObject", "BadDigest", 400)
    assert "BadDigest" in (await unavailable(put(world))).message


async def test_another_checksum_in_the_answer_is_no_success(world: MintBucketWorld) -> None:
    def answer(call: AwsCall) -> web.Response | None:
        other = {"x-amz-checksum-sha256": "AAAA", "x-amz-version-id": "v"}
        return web.Response(headers=other) if call.name == "s3:PutObject" else None

    world.fault = answer
    assert (await unavailable(put(world))).code == "mint-bucket-checksum"


async def test_a_bucket_of_another_owner_is_never_written(world: MintBucketWorld) -> None:
    world.rules.owners[world.bucket] = "999999999999"
    error = await unavailable(put(world))
    assert (error.code, world.account_id in error.fix) == ("mint-bucket-denied", True)
    assert names(world).count("s3:PutObject") == 0


async def test_a_bucket_whose_owner_changes_after_the_check_is_never_written(world: MintBucketWorld) -> None:
    await world.buckets.check(world.bucket)
    world.rules.owners[world.bucket] = "999999999999"
    await unavailable(put(world))
    s3 = await world.s3()
    assert "Versions" not in await s3.list_object_versions(Bucket=world.bucket)


@pytest.mark.parametrize("state", ["", "null"])
async def test_a_write_without_a_version_is_unsafe_and_the_bucket_is_checked_again(
    world: MintBucketWorld, state: str
) -> None:
    def answer(call: AwsCall) -> web.Response | None:
        return web.Response(headers={"x-amz-version-id": state}) if call.name == "s3:PutObject" else None

    world.fault = answer
    assert (await unsafe(put(world))).code == "mint-bucket-unversioned"
    world.fault = lambda _: None
    await put(world)
    assert world.count("s3:GetBucketVersioning") == 2


async def suspended(world: MintBucketWorld, s3: Any) -> None:
    await s3.put_bucket_versioning(Bucket=world.bucket, VersioningConfiguration={"Status": "Suspended"})


async def unencrypted(world: MintBucketWorld, s3: Any) -> None:
    await s3.delete_bucket_encryption(Bucket=world.bucket)


async def without_lifecycle(world: MintBucketWorld, s3: Any) -> None:
    await s3.delete_bucket_lifecycle(Bucket=world.bucket)


async def lifecycle_of_a_prefix(world: MintBucketWorld, s3: Any) -> None:
    await world.set_lifecycle({**RULE, "Filter": {"Prefix": "logs/"}})


async def lifecycle_of_what_is_in_use(world: MintBucketWorld, s3: Any) -> None:
    await world.set_lifecycle(
        RULE, {"ID": "all", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 7}}
    )


async def public(world: MintBucketWorld, s3: Any) -> None:
    await s3.delete_public_access_block(Bucket=world.bucket)


async def half_public(world: MintBucketWorld, s3: Any) -> None:
    blocks = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True}
    await s3.put_public_access_block(
        Bucket=world.bucket, PublicAccessBlockConfiguration={**blocks, "RestrictPublicBuckets": False}
    )


@pytest.mark.parametrize(
    "change, message, fix",
    [
        (suspended, "versioning is not enabled", "enable versioning"),
        (unencrypted, "it has no default encryption", "set the default encryption"),
        (without_lifecycle, "no lifecycle rule deletes old versions", "NoncurrentVersionExpiration"),
        (lifecycle_of_a_prefix, "no lifecycle rule deletes old versions", "for the whole bucket"),
        (lifecycle_of_what_is_in_use, "the lifecycle rule all deletes credentials that are in use", "remove"),
        (public, "public access is not blocked", "in all four ways"),
        (half_public, "public access is not blocked (RestrictPublicBuckets)", "in all four ways"),
    ],
)
async def test_an_unsafe_bucket_is_not_written_and_the_fix_is_stated(
    world: MintBucketWorld, change: Callable[[MintBucketWorld, Any], Awaitable[None]], message: str, fix: str
) -> None:
    await change(world, await world.s3())
    error = await unsafe(put(world))
    assert (error.code, world.bucket in error.message) == ("mint-bucket-unsafe", True)
    assert message in error.message
    assert fix in error.fix
    assert "mint_bucket of whence-accounts" in error.fix
    assert world.count("s3:PutObject") == 0


async def test_all_faults_of_a_bucket_are_named_at_once(world: MintBucketWorld) -> None:
    s3 = await world.s3()
    for change in (suspended, unencrypted, without_lifecycle, public):
        await change(world, s3)
    assert (await unsafe(world.buckets.check(world.bucket))).message.count(";") == 3


async def test_public_access_may_be_blocked_by_the_whole_account(aws: MintAws) -> None:
    world = await aws.world(account_id=new_account_id())
    await public(world, await world.s3())
    await unsafe(world.buckets.check(world.bucket))
    control = await world.clients.get("s3control", REGION, AssumedRole(world.role, "only-mint-7f3a"))
    blocks = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    await control.put_public_access_block(
        AccountId=world.account_id, PublicAccessBlockConfiguration=dict.fromkeys(blocks, True)
    )
    await world.buckets.check(world.bucket)


async def test_a_bucket_in_another_region_than_its_name_states_is_unsafe(world: MintBucketWorld) -> None:
    body = "<LocationConstraint>us-west-2</LocationConstraint>"
    world.fault = lambda call: web.Response(text=body) if call.name == "s3:GetBucketLocation" else None
    error = await unsafe(put(world))
    assert "it is in us-west-2, not in eu-west-1" in error.message


async def test_a_writer_of_another_account_writes_only_where_the_bucket_owns_its_objects(aws: MintAws) -> None:
    world = await aws.world(role="")
    error = await unsafe(put(world))
    assert "objects would belong to the account that writes them" in error.message
    s3 = await world.s3()
    await s3.put_bucket_ownership_controls(
        Bucket=world.bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    await put(world)
    assert world.rules.unowned == []


async def test_a_list_that_lacks_what_s3_always_states_is_no_answer(world: MintBucketWorld) -> None:
    body = f"<ListVersionsResult><Version><Key>{KEY}</Key><IsLatest>true</IsLatest></Version></ListVersionsResult>"
    world.fault = lambda call: web.Response(text=body) if call.name == "s3:ListObjectVersions" else None
    assert (await unavailable(world.buckets.versions(world.bucket, KEY))).code == "mint-bucket-answer"


async def test_versions_that_a_stranger_deletes_and_writes_are_told_apart(world: MintBucketWorld) -> None:
    ours = await put(world)
    s3 = await world.s3()
    await s3.put_object(Bucket=world.bucket, Key=KEY, Body=CONTENT)
    await s3.delete_object(Bucket=world.bucket, Key=KEY)
    found = await world.buckets.versions(world.bucket, KEY)
    assert [(one.is_deletion, one.is_latest) for one in found] == [(True, True), (False, False), (False, False)]
    assert found[2].version_id == ours
    await s3.delete_object(Bucket=world.bucket, Key=KEY, VersionId=ours)
    assert ours not in {one.version_id for one in await world.buckets.versions(world.bucket, KEY)}


async def test_the_time_of_a_version_is_an_instant_in_utc(world: MintBucketWorld) -> None:
    await put(world)
    (found,) = await world.buckets.versions(world.bucket, KEY)
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.modified_at)


async def test_no_more_than_a_hundred_versions_are_asked_for(world: MintBucketWorld) -> None:
    await world.buckets.versions(world.bucket, KEY)
    assert "max-keys=100" in world.aws.calls[-1].path
    assert f"prefix={KEY.replace('/', '%2F')}" in world.aws.calls[-1].path
