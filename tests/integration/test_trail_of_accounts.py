"""What the account tool creates for a trail works with the aggregator's reader as it is, against moto."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.account_world import AccountWorld, account_world
from fakes.cloud_trail import ACCOUNT, INSTANCE, REGION, key, log_file, record
from fakes.signing_authority import SigningAuthority
from landscape.aws import Aws, moto_server
from landscape.programs import Aggregator, aggregator
from whence_aggregator.accounts.steps import cloudtrail, configured_buckets
from whence_common.runtime.pause import pause

pytestmark = pytest.mark.usefixtures("own_credentials")

_BUCKET = "audit-logs-of-hello"
_READ_SECONDS_MAX = 60.0


@pytest.fixture
async def aws(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


async def test_a_log_file_that_cloudtrail_announces_is_read_from_what_one_apply_created(
    aws: Aws, tmp_path: Path, authority: SigningAuthority
) -> None:
    section = {
        "s3_bucket_name": _BUCKET, "s3_key_prefix": "audit", "home_region": REGION, "log_bucket": {}, "events": {}
    }  # fmt: skip
    async with account_world(
        aws.url, steps=(configured_buckets.STEP, cloudtrail.STEP), account_id=ACCOUNT, regions=(REGION,),
        settings={"cloudtrail": section},
    ) as world:  # fmt: skip
        await world.converge()
        await asyncio.to_thread(_delivered, world)
        role = f"arn:aws:iam::{ACCOUNT}:role/fullstop"
        sqs = world.client("sqs", REGION)
        trail = {
            "role_arn": role,
            "queues": [
                {
                    "url": sqs.get_queue_url(QueueName="whence-trail")["QueueUrl"].replace(aws.url, world.aws.url),
                    "region": REGION, "topics": [f"arn:aws:sns:{REGION}:{ACCOUNT}:whence-trail"],
                }
            ],
            "buckets": {_BUCKET: {"region": REGION}},
        }  # fmt: skip
        world.aws.forget()
        async with aggregator(
            tmp_path, tmp_path, authority_pem={REGION: authority.pem}, cloud_trail=trail, aws_endpoint_url=world.aws.url
        ) as running:
            assert await _reached(running, 2) == 2
            (account,) = (await running.get("/v1/accounts"))["accounts"]
            assert account["trail"]["state"] == "read"
            assert (await running.get("/v1/events/dead"))["letters"] == []
        admitted = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}
        asked = {one.name.removesuffix("Batch") for one in world.aws.calls if one.name.startswith("sqs:")}
        assert asked <= admitted, "the queue's policy admits what the reader calls"


def _delivered(world: AccountWorld) -> None:
    """Deliver a log file as CloudTrail does: the object, then the message of the trail's own topic.

    moto ignores conditions, so that the refusal of requests without TLS would refuse all: it is taken out first.
    """
    s3, sns = world.client("s3", REGION), world.client("sns", REGION)
    policy = json.loads(s3.get_bucket_policy(Bucket=_BUCKET)["Policy"])
    policy["Statement"] = [one for one in policy["Statement"] if one["Sid"] != "WhenceTlsOnly"]
    s3.put_bucket_policy(Bucket=_BUCKET, Policy=json.dumps(policy))
    found = world.client("cloudtrail", REGION).get_trail(Name="Default")["Trail"]
    name = key("1")
    assert name.startswith(f"{found['S3KeyPrefix']}/AWSLogs/{ACCOUNT}/CloudTrail/")
    s3.put_object(Bucket=found["S3BucketName"], Key=name, Body=log_file(record(number=1), record(number=2)))
    message = json.dumps({"s3Bucket": found["S3BucketName"], "s3ObjectKey": [name]})
    sns.publish(TopicArn=found["SnsTopicARN"], Message=message)


async def _reached(running: Aggregator, count: int) -> int:
    """Wait until so many events are recorded; return their number."""
    async with asyncio.timeout(_READ_SECONDS_MAX):
        while True:
            found = len((await running.get("/v1/events", instance=INSTANCE, limit="500"))["events"])
            if found >= count:
                return found
            await pause(0.1)
