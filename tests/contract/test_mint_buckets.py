"""What mint may expect of buckets of credentials: each put is one version, which the list of versions confirms."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fakes.mint_bucket_sides import SIDES, BucketSide
from fakes.mint_bucket_world import MintAws, mint_aws
from landscape.aws import Aws
from whence_aggregator.mint.ports import BucketUnavailable, BucketUnsafe

KEY = "greeter/user.json"
CONTENT = b'{"application_username": "greeter", "application_password": "s3cret-of-one"}'
METADATA = {"whence-generation": "0123456789abcdef0123456789abcdef", "whence-files": "user.json,client.json"}


@pytest.fixture(scope="module")
async def aws(moto: Aws) -> AsyncIterator[MintAws]:
    async with mint_aws(moto.url) as opened:
        yield opened


@pytest.fixture(params=sorted(SIDES))
async def side(request: pytest.FixtureRequest, aws: MintAws) -> BucketSide:
    return await SIDES[request.param](aws)


async def test_what_is_put_is_read_byte_by_byte_with_its_metadata(side: BucketSide) -> None:
    await side.buckets.put(side.bucket, KEY, CONTENT, METADATA)
    assert await side.content(KEY) == (CONTENT, METADATA)


async def test_the_version_that_put_returns_is_the_latest(side: BucketSide) -> None:
    version = await side.buckets.put(side.bucket, KEY, CONTENT, METADATA)
    (found,) = await side.buckets.versions(side.bucket, KEY)
    assert (found.version_id, found.is_latest, found.is_deletion) == (version, True, False)


async def test_versions_are_listed_newest_first(side: BucketSide) -> None:
    written = [await side.buckets.put(side.bucket, KEY, CONTENT + bytes([32] * n), METADATA) for n in range(3)]
    found = await side.buckets.versions(side.bucket, KEY)
    assert [one.version_id for one in found] == written[::-1]
    assert [one.is_latest for one in found] == [True, False, False]


async def test_a_repeated_put_of_the_same_bytes_is_another_version(side: BucketSide) -> None:
    one = await side.buckets.put(side.bucket, KEY, CONTENT, METADATA)
    two = await side.buckets.put(side.bucket, KEY, CONTENT, METADATA)
    assert one != two


async def test_an_object_that_was_never_written_has_no_versions(side: BucketSide) -> None:
    assert list(await side.buckets.versions(side.bucket, KEY)) == []


async def test_versions_of_keys_that_begin_alike_are_left_out(side: BucketSide) -> None:
    for key in (KEY + ".tmp", KEY + "/x", "greeter/user.jso", "greeter-two/user.json"):
        await side.buckets.put(side.bucket, key, CONTENT, METADATA)
    version = await side.buckets.put(side.bucket, KEY, CONTENT, METADATA)
    assert [one.version_id for one in await side.buckets.versions(side.bucket, KEY)] == [version]


async def test_a_stranger_who_writes_over_an_object_is_seen(side: BucketSide) -> None:
    ours = await side.buckets.put(side.bucket, KEY, CONTENT, METADATA)
    theirs = await side.overwrite(KEY)
    found = await side.buckets.versions(side.bucket, KEY)
    assert [(one.version_id, one.is_latest) for one in found] == [(theirs, True), (ours, False)]


async def test_a_removed_object_is_hidden_and_its_versions_stay(side: BucketSide) -> None:
    version = await side.buckets.put(side.bucket, KEY, CONTENT, METADATA)
    await side.buckets.remove(side.bucket, KEY)
    found = await side.buckets.versions(side.bucket, KEY)
    assert [(one.is_deletion, one.is_latest) for one in found] == [(True, True), (False, False)]
    assert found[1].version_id == version


async def test_an_object_that_is_not_there_can_be_removed_twice(side: BucketSide) -> None:
    await side.buckets.remove(side.bucket, KEY)
    await side.buckets.remove(side.bucket, KEY)
    assert not [one for one in await side.buckets.versions(side.bucket, KEY) if not one.is_deletion]


async def test_an_object_is_written_again_after_its_removal(side: BucketSide) -> None:
    await side.buckets.put(side.bucket, KEY, CONTENT, METADATA)
    await side.buckets.remove(side.bucket, KEY)
    version = await side.buckets.put(side.bucket, KEY, CONTENT, METADATA)
    assert (await side.buckets.versions(side.bucket, KEY))[0].version_id == version


async def test_a_safe_bucket_passes_the_check(side: BucketSide) -> None:
    await side.buckets.check(side.bucket)


async def test_a_bucket_without_versioning_is_unsafe_and_is_not_written(side: BucketSide) -> None:
    await side.suspend_versioning()
    for call in (side.buckets.check(side.bucket), side.buckets.put(side.bucket, KEY, CONTENT, METADATA)):
        with pytest.raises(BucketUnsafe) as refused:
            await call
        assert side.bucket in refused.value.message
    await side.resume_versioning()
    assert list(await side.buckets.versions(side.bucket, KEY)) == []


async def test_a_bucket_that_does_not_exist_is_unsafe(side: BucketSide) -> None:
    bucket = side.unknown_bucket
    for call in (
        side.buckets.check(bucket), side.buckets.put(bucket, KEY, CONTENT, METADATA),
        side.buckets.versions(bucket, KEY), side.buckets.remove(bucket, KEY),
    ):  # fmt: skip
        with pytest.raises(BucketUnsafe, match=bucket):
            await call


async def test_a_bucket_of_an_account_that_is_not_allowed_is_unsafe(side: BucketSide) -> None:
    bucket = side.foreign_bucket
    for call in (
        side.buckets.check(bucket), side.buckets.put(bucket, KEY, CONTENT, METADATA),
        side.buckets.versions(bucket, KEY), side.buckets.remove(bucket, KEY),
    ):  # fmt: skip
        with pytest.raises(BucketUnsafe):
            await call


async def test_a_writer_that_is_denied_is_told_so(side: BucketSide) -> None:
    side.deny()
    for call in (
        side.buckets.check(side.bucket), side.buckets.put(side.bucket, KEY, CONTENT, METADATA),
        side.buckets.versions(side.bucket, KEY), side.buckets.remove(side.bucket, KEY),
    ):  # fmt: skip
        with pytest.raises(BucketUnavailable, match=side.bucket):
            await call


async def test_a_bucket_that_does_not_answer_is_unavailable_and_no_secret_is_told(side: BucketSide) -> None:
    await side.buckets.check(side.bucket)
    side.silence()
    with pytest.raises(BucketUnavailable) as refused:
        await side.buckets.put(side.bucket, KEY, CONTENT, METADATA)
    assert refused.value.retryable
    assert "s3cret-of-one" not in refused.value.diagnostics()
