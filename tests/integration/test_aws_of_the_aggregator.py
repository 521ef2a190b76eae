"""The aggregator's side of AWS, against moto: instances and user data of an account by an assumed role, bundles in S3."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from fakes.misbehaving import Answer, misbehaving
from landscape.aws import ACCOUNT, REGION, Aws, moto_server
from whence_aggregator.adapters.aws_inventory import AwsInventory, _listed, _unavailable
from whence_aggregator.adapters.logins import EcrLogins
from whence_aggregator.adapters.s3_archive import S3Archive
from whence_aggregator.ports import ListedInstance, SourceUnavailable, StorageUnavailable

pytestmark = pytest.mark.usefixtures("own_credentials")

USER_DATA = b"#taupage-ami-config\napplication_id: greeter\n"


@pytest.fixture(scope="module")
async def aws(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


def inventory(url: str) -> AwsInventory:
    return AwsInventory(role_name="whence-inventory", session_name="whence-aggregator", endpoint_url=url)


def archive(aws: Aws, bucket: str) -> S3Archive:
    return S3Archive(bucket=bucket, prefix="whence/", region=REGION, endpoint_url=aws.url)


async def test_instances_are_listed_and_their_user_data_is_read(aws: Aws) -> None:
    instance_id = await aws.run_instance(USER_DATA)
    ec2 = inventory(aws.url)
    listed = {one.instance_id: one for one in await ec2.instances(ACCOUNT, REGION)}
    assert listed[instance_id].state == "running"
    assert listed[instance_id].launched_at.endswith("Z")
    assert await ec2.user_data(ACCOUNT, REGION, instance_id) == USER_DATA


async def test_a_stopped_instance_is_listed_as_stopped(aws: Aws) -> None:
    instance_id = await aws.run_instance(USER_DATA)
    aws.client("ec2").stop_instances(InstanceIds=[instance_id])
    listed = {one.instance_id: one.state for one in await inventory(aws.url).instances(ACCOUNT, REGION)}
    assert listed[instance_id] == "stopped"


async def test_another_region_or_account_has_instances_of_its_own(aws: Aws) -> None:
    instance_id = await aws.run_instance(USER_DATA)
    for account, region in ((ACCOUNT, "us-east-1"), ("210987654321", REGION)):
        assert instance_id not in {one.instance_id for one in await inventory(aws.url).instances(account, region)}


async def test_an_instance_that_ec2_does_not_know_yet_is_asked_again_instead_of_having_no_user_data(aws: Aws) -> None:
    with pytest.raises(SourceUnavailable, match=r"cannot be asked: InvalidInstanceID\.NotFound"):
        await inventory(aws.url).user_data(ACCOUNT, REGION, "i-00000000000000000")


@pytest.mark.parametrize(
    "code, expected",
    [
        ("UnauthorizedOperation", "ec2-denied"),
        ("AccessDenied", "ec2-denied"),
        ("RequestLimitExceeded", "ec2-throttled"),
        ("Throttling", "ec2-throttled"),
        ("EC2ThrottledException", "ec2-throttled"),
        ("AuthFailure", "ec2-denied"),
        ("InternalError", "ec2-unavailable"),
        ("ExpiredToken", "ec2-unavailable"),
        ("RequestExpired", "ec2-unavailable"),
    ],
)
def test_denial_throttling_and_failure_have_different_codes(code: str, expected: str) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "AWS's own words"}}, "DescribeInstanceAttribute")
    found = _unavailable(ACCOUNT, REGION, error)
    assert (found.code, f"{code}: AWS's own words" in found.message) == (expected, True)


def test_a_clock_that_is_wrong_is_named_to_who_runs_the_aggregator() -> None:
    about = {"HTTPStatusCode": 400, "HTTPHeaders": {"date": "Sun, 22 Nov 2020 12:00:00 GMT"}}
    error = ClientError({"Error": {"Code": "RequestExpired"}, "ResponseMetadata": about}, "DescribeInstances")
    found = _unavailable(ACCOUNT, REGION, error)
    assert "the clock of this machine is" in found.message
    assert "chrony" in found.fix


def test_an_instance_without_a_launch_time_or_state_is_listed_all_the_same() -> None:
    details = {"key_name": "", "image_id": ""}
    expected = ListedInstance(instance_id="i-1", state="unknown", launched_at="", details=details)
    assert _listed({"InstanceId": "i-1"}) == expected


async def test_an_unreachable_ec2_api_is_reported_as_unavailable() -> None:
    once = AwsInventory(
        role_name="whence-inventory",
        session_name="whence-aggregator",
        endpoint_url="http://127.0.0.1:1",
        attempts_max=0,
    )
    with pytest.raises(SourceUnavailable, match=f"account {ACCOUNT} in {REGION} cannot be asked"):
        await once.instances(ACCOUNT, REGION)


async def test_a_bundle_comes_back_from_s3_as_it_went(aws: Aws) -> None:
    aws.client("s3").create_bucket(Bucket="archive", CreateBucketConfiguration={"LocationConstraint": REGION})
    entries = [b"%d" % number * (number + 1) for number in range(256)]
    await archive(aws, "archive").store(1_234, entries)
    assert await archive(aws, "archive").load(1_234) == entries
    assert await archive(aws, "archive").load(1_235) is None
    (stored,) = aws.client("s3").list_objects_v2(Bucket="archive")["Contents"]
    assert stored["Key"] == "whence/entries/x001/234.gz"


async def test_an_archive_that_cannot_be_reached_loses_nothing_silently(aws: Aws) -> None:
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        await archive(aws, "nowhere").load(0)
    with pytest.raises(StorageUnavailable, match="NoSuchBucket"):
        await archive(aws, "nowhere").store(0, [b""] * 256)


async def test_passwords_of_ecr_are_read_by_role_and_renewed_before_they_expire(aws: Aws) -> None:
    role = f"arn:aws:iam::{ACCOUNT}:role/whence-pull"
    host, now = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com", [datetime(2026, 11, 22, tzinfo=UTC)]
    logins = EcrLogins(host=host, region=REGION, role_arn=role, endpoint_url=aws.url, now=lambda: now[0])
    login = await logins.login("app")
    assert login is not None
    assert (login.username, bool(login.password)) == ("AWS", True)
    assert await logins.login("other") is login
    now[0] += timedelta(hours=7)
    assert await logins.login("app") is not login
    logins._endpoint_url = "http://127.0.0.1:1"
    now[0] += timedelta(hours=7)
    with pytest.raises(SourceUnavailable) as caught:
        await logins.login("app")
    assert caught.value.code == "ecr-no-password"
    assert "ecr:GetAuthorizationToken" in caught.value.fix


async def test_an_incomplete_listing_is_an_error(aws: Aws) -> None:
    for _ in range(3):
        await aws.run_instance(USER_DATA)
    bounded = AwsInventory(
        role_name="whence-inventory", session_name="whence-aggregator", endpoint_url=aws.url, instances_max=2
    )
    with pytest.raises(SourceUnavailable, match="over 2 instances"):
        await bounded.instances(ACCOUNT, REGION)


async def test_a_page_in_the_place_of_an_answer_is_an_aws_that_is_away() -> None:
    page = b"<!doctype html>\n<html lang=en>\n<title>502</title>\n<p>a proxy's page<br>\n"
    async with misbehaving(Answer(status=502, body=page)) as host:
        with pytest.raises(SourceUnavailable, match="cannot be asked: ResponseParserError") as caught:
            await inventory(f"http://{host}").instances(ACCOUNT, REGION)
        assert caught.value.code == "ec2-unavailable"
