"""A writer of credentials that is denied, throttled, expired or not answered: repeated where that helps, else told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from fakes.account_world import new_account_id
from fakes.counted_aws import AwsCall
from fakes.mint_bucket_world import EXTERNAL_ID, MintAws, MintBucketWorld, Seconds, mint_aws, on, once, times
from fakes.s3_rules import refused
from landscape.aws import Aws
from whence_aggregator.adapters.aws_clients import ServiceClients
from whence_aggregator.mint.ports import BucketUnavailable, BucketUnsafe

KEY = "greeter/user.json"
CONTENT = b'{"application_password": "s3cret-of-one"}'
METADATA = {"whence-generation": "0123456789abcdef0123456789abcdef", "whence-files": "user.json"}
STS_DENIES = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>User is not authorized to perform:"
    " sts:AssumeRole</Message></Error><RequestId>r</RequestId></ErrorResponse>"
)


@pytest.fixture(scope="module")
async def aws(moto: Aws) -> AsyncIterator[MintAws]:
    async with mint_aws(moto.url) as opened:
        yield opened


@pytest.fixture
async def world(aws: MintAws) -> MintBucketWorld:
    return await aws.world()


@pytest.fixture
async def fresh(aws: MintAws) -> MintBucketWorld:
    """A world in an account whose role was not assumed yet."""
    return await aws.world(account_id=new_account_id())


async def put(world: MintBucketWorld) -> str:
    return await world.buckets.put(world.bucket, KEY, CONTENT, METADATA)


async def failed(world: MintBucketWorld) -> BucketUnavailable:
    """Return why a write failed."""
    with pytest.raises(BucketUnavailable) as found:
        await put(world)
    told = found.value.diagnostics()
    assert "s3cret-of-one" not in told
    assert EXTERNAL_ID not in told
    assert world.account_id in told
    assert "\n" not in told
    return found.value


async def test_a_throttled_write_is_repeated_with_pauses_that_grow(world: MintBucketWorld) -> None:
    world.fault = times(3, on("s3:PutObject", "SlowDown", 503))
    await put(world)
    assert len(world.pauses) == 3
    assert world.pauses == sorted(world.pauses)


async def test_a_retry_after_is_honoured(world: MintBucketWorld) -> None:
    world.fault = once(on("s3:PutObject", "SlowDown", 503, Retry_After="4"))
    await put(world)
    assert world.pauses == [4.0]


async def test_a_write_that_is_always_throttled_ends_after_eight_attempts(world: MintBucketWorld) -> None:
    world.fault = on("s3:PutObject", "SlowDown", 503, Retry_After="2")
    error = await failed(world)
    assert (error.code, error.retry_after_seconds, world.count("s3:PutObject")) == ("mint-bucket-throttled", 2.0, 8)


@pytest.mark.parametrize(
    "code, status",
    [("InternalError", 500), ("ServiceUnavailable", 503), ("OperationAborted", 409), ("RequestTimeout", 400)],
)
async def test_a_fault_of_s3_is_waited_out(world: MintBucketWorld, code: str, status: int) -> None:
    world.fault = times(2, on("s3:PutObject", code, status))
    await put(world)
    assert len(world.pauses) == 2


@pytest.mark.parametrize("status", [403, 404, 502])
async def test_the_page_of_a_proxy_is_waited_out(world: MintBucketWorld, status: int) -> None:
    page = "<!DOCTYPE html><html><body><h1>It is us</h1></body></html>"
    world.fault = once(
        lambda call: web.Response(status=status, text=page, content_type="text/html")
        if call.name == "s3:PutObject" else None
    )  # fmt: skip
    await put(world)


async def test_an_answer_that_is_lost_after_s3_acted_leaves_two_versions_and_names_the_newest(
    world: MintBucketWorld,
) -> None:
    async def lose(call: AwsCall) -> web.Response | None:
        if call.name != "s3:PutObject" or world.count("s3:PutObject") > 1:
            return None
        s3 = await world.s3()
        await s3.put_object(Bucket=world.bucket, Key=KEY, Body=call.body)
        return refused("InternalError", "lost", 500)

    world.fault = lose
    version = await put(world)
    found = await world.buckets.versions(world.bucket, KEY)
    assert (found[0].version_id, len(found)) == (version, 2)


async def test_a_bucket_that_never_answers_ends_at_the_deadline(aws: MintAws) -> None:
    world = await aws.world(seconds_max=0.2)

    async def stall(call: AwsCall) -> web.Response | None:
        await asyncio.Event().wait()
        return None

    world.fault = stall
    began = time.monotonic()
    error = await failed(world)
    assert (error.code, error.message.endswith("no answer in time")) == ("mint-bucket-unavailable", True)
    assert time.monotonic() - began < 10


async def test_a_write_that_is_cancelled_ends_at_once(world: MintBucketWorld) -> None:
    stalled = asyncio.Event()

    async def stall(call: AwsCall) -> web.Response | None:
        stalled.set()
        await asyncio.Event().wait()
        return None

    world.fault = stall
    work = asyncio.ensure_future(put(world))
    await stalled.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def test_an_endpoint_without_a_listener_is_unavailable(world: MintBucketWorld) -> None:
    clients = ServiceClients(
        endpoint_url="http://127.0.0.1:9", session_name="whence-mint", clock=Seconds(), attempts_max=1
    )
    world.clients = clients
    world.buckets = world.opened()
    error = await failed(world)
    assert error.retryable
    assert error.code == "mint-role-unavailable"
    await clients.close()


async def test_a_denied_write_ends_at_once_and_names_the_permission_and_the_role(world: MintBucketWorld) -> None:
    world.fault = on("s3:PutObject", "AccessDenied", 403, "Access Denied")
    error = await failed(world)
    assert (error.code, world.count("s3:PutObject"), world.pauses) == ("mint-bucket-denied", 1, [])
    assert error.message.startswith(world.role)
    assert error.fix.startswith("allow s3:PutObject to it")


async def test_a_denial_by_the_key_names_the_permission_of_kms(world: MintBucketWorld) -> None:
    said = "User: arn:aws:sts::1:assumed-role/x/y is not authorized to perform: kms:GenerateDataKey on this resource"
    world.fault = on("s3:PutObject", "AccessDenied", 403, said)
    assert (await failed(world)).fix.startswith("allow kms:GenerateDataKey to it")


@pytest.mark.parametrize(
    "name, action",
    [
        ("s3:GetBucketLocation", "s3:GetBucketLocation"),
        ("s3:GetBucketEncryption", "s3:GetEncryptionConfiguration"),
        ("s3:GetBucketVersioning", "s3:GetBucketVersioning"),
        ("s3:GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration"),
        ("s3:GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock"),
    ],
)
async def test_a_check_that_is_denied_names_its_permission_and_nothing_is_written(
    world: MintBucketWorld, name: str, action: str
) -> None:
    world.fault = on(name, "AccessDenied", 403)
    assert (await failed(world)).fix.startswith(f"allow {action} to it")
    assert world.count("s3:PutObject") == 0


@pytest.mark.parametrize("call, action", [("versions", "s3:ListBucketVersions"), ("remove", "s3:DeleteObject")])
async def test_a_denied_list_and_a_denied_removal_name_their_permission(
    world: MintBucketWorld, call: str, action: str
) -> None:
    world.fault = lambda _: refused("AccessDenied", "Access Denied", 403)
    with pytest.raises(BucketUnavailable) as found:
        await getattr(world.buckets, call)(world.bucket, KEY)
    assert found.value.fix.startswith(f"allow {action} to it")


async def test_a_role_that_may_not_read_the_account_s_blocks_needs_them_on_the_bucket(world: MintBucketWorld) -> None:
    s3 = await world.s3()
    await s3.delete_public_access_block(Bucket=world.bucket)
    world.fault = lambda call: (
        refused("AccessDenied", "no", 403)
        if "publicAccessBlock" in call.path and world.bucket not in call.path
        else None
    )
    with pytest.raises(BucketUnsafe, match="public access is not blocked"):
        await put(world)


async def test_what_s3_refuses_for_good_is_told_and_not_repeated(world: MintBucketWorld) -> None:
    world.fault = on("s3:PutObject", "KMS.DisabledException", 400, "the key is disabled")
    error = await failed(world)
    assert (error.code, error.retryable, world.count("s3:PutObject")) == ("mint-bucket-refused", False, 1)
    assert "the key is disabled" in error.message


async def test_a_wrong_clock_is_told_and_not_repeated(world: MintBucketWorld) -> None:
    world.fault = on("s3:PutObject", "RequestTimeTooSkewed", 403)
    error = await failed(world)
    assert (world.count("s3:PutObject"), "chrony" in error.fix) == (1, True)


async def test_a_role_that_denies_is_named_with_its_trust_policy(fresh: MintBucketWorld) -> None:
    fresh.fault = lambda call: (
        web.Response(status=403, text=STS_DENIES, content_type="text/xml") if call.action == "AssumeRole" else None
    )
    error = await failed(fresh)
    assert (error.code, fresh.count("sts:AssumeRole"), fresh.role in error.message) == ("mint-role-denied", 1, True)
    assert "external id in its trust policy" in error.fix


async def test_a_role_is_assumed_once_with_the_external_id(fresh: MintBucketWorld) -> None:
    await put(fresh)
    await put(fresh)
    (assumed,) = [one for one in fresh.aws.calls if one.action == "AssumeRole"]
    assert (assumed.form["RoleArn"], assumed.form["ExternalId"]) == (fresh.role, EXTERNAL_ID)


async def test_a_throttled_role_is_waited_out(fresh: MintBucketWorld) -> None:
    throttled = STS_DENIES.replace("AccessDenied", "Throttling")
    fresh.fault = times(2, lambda call: (
        web.Response(status=400, text=throttled, content_type="text/xml") if call.action == "AssumeRole" else None
    ))  # fmt: skip
    await put(fresh)
    assert fresh.count("sts:AssumeRole") == 3


@pytest.mark.parametrize("code, status", [("ExpiredToken", 400), ("InvalidAccessKeyId", 403)])
async def test_keys_that_expire_between_calls_are_replaced(world: MintBucketWorld, code: str, status: int) -> None:
    await put(world)
    world.aws.forget()
    world.fault = once(on("s3:PutObject", code, status))
    await put(world)
    assert [one.name for one in world.aws.calls] == ["s3:PutObject", "sts:AssumeRole", "s3:PutObject"]


async def test_keys_are_replaced_before_they_expire(world: MintBucketWorld) -> None:
    await world.buckets.check(world.bucket)
    world.clock.at += 3_301
    await world.buckets.versions(world.bucket, KEY)
    assert world.count("sts:AssumeRole") <= 2
    assert world.aws.calls[-2].action == "AssumeRole"


async def test_keys_that_are_never_accepted_end_in_an_error(world: MintBucketWorld) -> None:
    world.fault = on("s3:PutObject", "ExpiredToken", 400)
    error = await failed(world)
    each_with_new_keys = 2 * 2
    assert (error.code, world.count("s3:PutObject")) == ("mint-bucket-unavailable", each_with_new_keys)


@pytest.mark.parametrize("status, code", [(301, "PermanentRedirect"), (400, "AuthorizationHeaderMalformed")])
async def test_a_redirect_to_another_region_is_followed(world: MintBucketWorld, status: int, code: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>elsewhere</Message><Region>us-west-2</Region></Error>"
    await world.buckets.check(world.bucket)
    world.fault = once(
        lambda call: web.Response(status=status, text=body, content_type="application/xml")
        if call.name == "s3:PutObject" else None
    )  # fmt: skip
    await put(world)
    assert [one.region for one in world.aws.calls if one.name == "s3:PutObject"] == ["eu-west-1", "us-west-2"]
    assert world.pauses == []


async def test_a_redirect_that_leads_nowhere_is_an_unsafe_bucket(world: MintBucketWorld) -> None:
    await world.buckets.check(world.bucket)
    world.fault = on("s3:PutObject", "PermanentRedirect", 301, x_amz_bucket_region="us-west-2")
    with pytest.raises(BucketUnsafe, match="is not in eu-west-1") as found:
        await put(world)
    assert found.value.fix == "correct its region in mint's settings"
