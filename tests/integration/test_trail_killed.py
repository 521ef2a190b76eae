"""The running aggregator is killed by SIGKILL while it reads CloudTrail, at points that a seed chooses, and started again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fakes.cloud_trail import ACCOUNT, REGION, bridged, key, log_file, record, s3_event, sns, trail_notice
from fakes.killing_road import KillingRoad, killing_road
from fakes.signing_authority import SigningAuthority
from landscape.aws import Aws, moto_server
from landscape.endurance import repeated
from landscape.programs import Aggregator, aggregator
from whence_common.runtime.pause import pause

pytestmark = pytest.mark.usefixtures("own_credentials")

KILLS = repeated(sample=2, whole=60)
FILES_A_LIFE = 4
REQUESTS_MAX = 14
"""Of one life before it ends: it receives, reads its files and deletes its messages within them."""
_READ_SECONDS_MAX = 300.0


@pytest.fixture
async def aws(tmp_path: Path) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path) as running:
        yield running


def put(aws: Aws, queue: str, bucket: str, life: int, random: Random) -> set[str]:
    """Put files whose records overlap, tell the queue in every form, some of it twice; return the ids of their events."""
    records = [record(number=life * 100 + n) for n in range(10)]
    bodies = [bridged(records[0])]
    for number in range(FILES_A_LIFE):
        name = f"{life}-{number}"
        some = random.sample(records, 6) if number else records
        aws.client("s3").put_object(Bucket=bucket, Key=key(name), Body=log_file(*some))
        body = s3_event(key(name), bucket=bucket)
        bodies += random.choice(([body], [sns(body)], [body, trail_notice([key(name)], bucket)]))
    random.shuffle(bodies)
    for body in bodies:
        aws.client("sqs").send_message(QueueUrl=queue, MessageBody=body)
    return {str(one["eventID"]) for one in records}


def let_leases_expire(home: Path) -> None:
    """Make files due that a killed process had claimed, as they are eleven minutes later."""
    with closing(sqlite3.connect(home / "aggregator" / "ledger.db")) as database, database:
        database.execute("update task set due_at = '2026-01-01T00:00:00.000Z' where kind = 'trail-log'")


def recorded(home: Path) -> tuple[int, list[str], int]:
    """Return how many entries of events the ledger has, the ids of their events, and what is left to do."""
    with closing(sqlite3.connect(home / "aggregator" / "ledger.db")) as database:
        ((entries,),) = database.execute("select count(*) from entry where kind = 'cloud-event'")
        ids = [name for (name,) in database.execute("select event_id from cloud_event")]
        ((left,),) = database.execute("select count(*) from task where kind = 'trail-log'")
    return entries, ids, left


async def life_and_death(running: Aggregator, road: KillingRoad) -> None:
    """Let the aggregator read until it is killed."""
    road.arm(running.process.kill, requests_max=REQUESTS_MAX)
    async with asyncio.timeout(_READ_SECONDS_MAX):
        await road.killed.wait()


@pytest.mark.endurance
async def test_no_event_is_lost_or_recorded_twice_when_the_aggregator_is_killed(
    aws: Aws, tmp_path: Path, authority: SigningAuthority
) -> None:
    random = Random(22)
    queue = str(aws.client("sqs").create_queue(QueueName="killed")["QueueUrl"])
    aws.client("s3").create_bucket(Bucket="killed-logs", CreateBucketConfiguration={"LocationConstraint": REGION})
    trail = {
        "queues": [{"url": queue, "region": REGION, "event_bridge_accounts": [ACCOUNT]}],
        "buckets": {"killed-logs": {"region": REGION}},
    }
    expected = set[str]()
    async with killing_road(aws.url, random) as road:
        given: dict[str, Any] = {
            "authority_pem": {REGION: authority.pem}, "cloud_trail": trail, "aws_endpoint_url": road.url,
        }  # fmt: skip
        for life in range(KILLS):
            expected |= await asyncio.to_thread(put, aws, queue, "killed-logs", life, random)
            async with aggregator(tmp_path, tmp_path, **given) as running:
                await life_and_death(running, road)
            let_leases_expire(tmp_path)
        async with aggregator(tmp_path, tmp_path, **given) as running:
            async with asyncio.timeout(_READ_SECONDS_MAX):
                while await unread(aws, queue) or recorded(tmp_path)[2] or len(recorded(tmp_path)[1]) < len(expected):
                    await pause(0.1)
            assert (await running.get("/v1/events/dead"))["letters"] == []
    entries, ids, _ = recorded(tmp_path)
    assert sorted(ids) == sorted(expected)
    assert entries == len(expected)


async def unread(aws: Aws, queue: str) -> int:
    """Return how many messages the queue keeps, hidden ones too."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = await asyncio.to_thread(aws.client("sqs").get_queue_attributes, QueueUrl=queue, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)
