"""The trail's queues and buckets against moto: what is read, and how AWS's refusals are reported."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fakes.cloud_trail import ACCOUNT, INSTANCE, REGION, key, log_file, record, s3_event, sns
from fakes.misbehaving import Answer, misbehaving
from fakes.signing_authority import SigningAuthority
from landscape.aws import Aws, moto_server
from landscape.endurance import repeated
from landscape.programs import Aggregator, aggregator
from whence_aggregator.adapters.aws_clients import AssumedRole, ServiceClients
from whence_aggregator.adapters.log_file_readers import InProcesses
from whence_aggregator.adapters.trail_keys import CloudTrailKeys
from whence_aggregator.adapters.trail_objects import S3TrailObjects, TrailBucket
from whence_aggregator.adapters.trail_queue import SqsQueue
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.ports import SourceUnavailable
from whence_common.runtime.pause import pause

pytestmark = pytest.mark.usefixtures("own_credentials")

ROLE = AssumedRole(f"arn:aws:iam::{ACCOUNT}:role/whence-trail", "an-external-id")
_READ_SECONDS_MAX = 60.0 * repeated(sample=1, whole=15)
STORMY_FILES = repeated(sample=5, whole=60)


@pytest.fixture(scope="module")
async def aws(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


@asynccontextmanager
async def clients(url: str) -> AsyncIterator[ServiceClients]:
    """Clients that make each request once; those of the program repeat it, in the storm."""
    opened = ServiceClients(endpoint_url=url, session_name="whence-aggregator", clock=time.monotonic, attempts_max=1)
    try:
        yield opened
    finally:
        await opened.close()


def a_queue(aws: Aws, name: str) -> str:
    return str(aws.client("sqs").create_queue(QueueName=name)["QueueUrl"])


def a_bucket(aws: Aws, name: str) -> str:
    aws.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


async def test_messages_are_received_hidden_and_deleted(aws: Aws) -> None:
    url = a_queue(aws, "received")
    aws.client("sqs").send_message(QueueUrl=url, MessageBody="one")
    async with clients(aws.url) as opened:
        queue = SqsQueue(clients=opened, url=url, region=REGION, role=ROLE, poll_seconds=1)
        (message,) = await queue.receive()
        assert (message.body, message.sent_at > 1_700_000_000_000) == ("one", True)
        assert await queue.receive() == []
        await queue.extend([message.receipt])
        await queue.delete([message.receipt])
        assert await queue.waiting() == 0


async def test_an_object_is_read_as_it_is_stored_with_its_signature_and_not_again_while_it_is_the_same(
    aws: Aws,
) -> None:
    bucket = a_bucket(aws, "read-objects")
    aws.client("s3").put_object(
        Bucket=bucket, Key=key(), Body=log_file(record()), ContentEncoding="gzip", ContentType="application/json",
        Metadata={"signature": "0a0b"},
    )  # fmt: skip
    async with clients(aws.url) as opened:
        objects = S3TrailObjects(clients=opened, buckets={bucket: TrailBucket(REGION, ROLE)})
        found = await objects.read(bucket, key())
        assert found is not None
        assert (found.content, found.signature) == (log_file(record()), "0a0b")
        assert await objects.read(bucket, key(), unless_etag=found.etag) is None
        with pytest.raises(TrailRefused, match="does not exist"):
            await objects.read(bucket, "nothing")
        with pytest.raises(SourceUnavailable, match="NoSuchBucket"):
            await S3TrailObjects(clients=opened, buckets={"gone": TrailBucket(REGION, None)}).read("gone", "a")


@pytest.mark.parametrize(
    "status, code, expected, says",
    [
        (403, "AccessDenied", "trail-denied", "check the trust policy and external id"),
        (400, "ExpiredToken", "trail-unavailable", "check the credentials, and that eu-central-1 is enabled"),
        (403, "InvalidClientTokenId", "trail-unavailable", "and that eu-central-1 is enabled"),
        (429, "TooManyRequestsException", "trail-throttled", "throttles requests"),
        (503, "ServiceUnavailable", "trail-unavailable", "ServiceUnavailable"),
    ],
)
async def test_refusals_of_the_role_are_reported_by_their_kind_with_what_to_do(
    status: int, code: str, expected: str, says: str
) -> None:
    page = f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>".encode()
    async with misbehaving(Answer(status=status, body=page)) as host, clients(f"http://{host}") as opened:
        queue = SqsQueue(clients=opened, url=f"http://{host}/1/q", region=REGION, role=ROLE, poll_seconds=1)
        with pytest.raises(SourceUnavailable) as caught:
            await queue.receive()
    assert caught.value.code == expected
    assert says in caught.value.diagnostics()
    assert "an-external-id" not in caught.value.diagnostics()


async def test_an_unreachable_region_is_reported_as_unavailable() -> None:
    async with clients("http://127.0.0.1:1") as opened:
        for call in (
            SqsQueue(clients=opened, url="http://127.0.0.1:1/1/q", region=REGION, role=None).receive(),
            S3TrailObjects(clients=opened, buckets={"b": TrailBucket(REGION, None)}).read("b", "k"),
            CloudTrailKeys(clients=opened, role=None).listed(REGION, starts_at=0, ends_at=1),
        ):
            with pytest.raises(SourceUnavailable, match="cannot be read: EndpointConnectionError"):
                await call


async def test_public_keys_are_listed_by_region_and_period() -> None:
    asked: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(json.loads(await request.read()))
        listed = [{"Value": "AQID", "Fingerprint": "f1", "ValidityStartTime": 1.0, "ValidityEndTime": 2.0}]
        return web.json_response({"PublicKeyList": listed})

    application = web.Application()
    application.router.add_post("/", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with clients(f"http://127.0.0.1:{runner.addresses[0][1]}") as opened:
            (found,) = await CloudTrailKeys(clients=opened, role=None).listed(REGION, starts_at=1_000, ends_at=9_000)
    finally:
        await runner.cleanup()
    assert (found.fingerprint, found.content) == ("f1", b"\x01\x02\x03")
    assert asked == [{"StartTime": 1, "EndTime": 9}]


async def test_processes_read_files_and_a_refusal_comes_back_with_its_code() -> None:
    reader = InProcesses(2)
    try:
        found = await asyncio.gather(*(reader.read(log_file(record(number=n))) for n in range(8)))
        assert [one.records[0].event_id[-1] for one in found] == [str(n) for n in range(8)]
        with pytest.raises(TrailRefused) as caught:
            await reader.read(gzip.compress(b"hello"))
        assert caught.value.code == "file-malformed"
    finally:
        await reader.close()


async def test_events_of_a_queue_are_traced(aws: Aws, tmp_path: Path, authority: SigningAuthority) -> None:
    url, bucket = a_queue(aws, "served"), a_bucket(aws, "served-logs")
    trail = {
        "queues": [{"url": url, "region": REGION, "role_arn": ROLE.arn, "external_id": ROLE.external_id}],
        "buckets": {bucket: {"region": REGION}},
    }
    for number in range(20):
        records = [record(number=number * 3 + n) for n in range(3)]
        aws.client("s3").put_object(Bucket=bucket, Key=key(str(number)), Body=log_file(*records))
        body = s3_event(key(str(number)), bucket=bucket)
        aws.client("sqs").send_message(QueueUrl=url, MessageBody=sns(body) if number % 2 else body)
    pem = {"eu-central-1": authority.pem}
    async with aggregator(
        tmp_path, tmp_path, authority_pem=pem, cloud_trail=trail, aws_endpoint_url=aws.url
    ) as running:
        assert await reached(running, 60) == 60
        code, said = await running.whence("events", "list", INSTANCE, "--limit", "2")
        assert (code, "jane@example.org" in said) == (0, True)
        (account,) = (await running.get("/v1/accounts"))["accounts"]
        assert account["trail"]["state"] == "read"


async def reached(running: Aggregator, count: int) -> int:
    """Wait until so many events are recorded; return their number."""
    async with asyncio.timeout(_READ_SECONDS_MAX):
        while True:
            found = len((await running.get("/v1/events", instance=INSTANCE, limit="500"))["events"])
            if found >= count:
                return found
            await pause(0.1)


@asynccontextmanager
async def stormy(aws: Aws, seed: int) -> AsyncIterator[str]:
    """Give the URL of a road to moto on which every third request is refused, in one of AWS's ways."""
    random = Random(seed)
    error = "<ErrorResponse><Error><Code>{}</Code><Message>storm</Message></Error></ErrorResponse>"

    async def pass_on(request: web.Request) -> web.Response:
        body = await request.read()
        if random.random() < 0.35:
            status, code = random.choice(((429, "TooManyRequestsException"), (503, "SlowDown"), (500, "InternalError")))
            return web.Response(status=status, text=error.format(code), content_type="text/xml")
        kept = {
            name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")
        }
        async with session.request(request.method, aws.url + request.raw_path, data=body, headers=kept) as answer:
            content = await answer.read()
            hop = ("content-length", "transfer-encoding", "connection", "date", "server")
            headers = {name: value for name, value in answer.headers.items() if name.lower() not in hop}
            return web.Response(status=answer.status, body=content, headers=headers)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", pass_on)
    runner = web.AppRunner(application, access_log=None)
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


@pytest.mark.endurance
async def test_no_event_is_lost_in_a_storm_of_refusals(aws: Aws, tmp_path: Path, authority: SigningAuthority) -> None:
    url, bucket = a_queue(aws, "stormy"), a_bucket(aws, "stormy-logs")
    for number in range(STORMY_FILES):
        aws.client("s3").put_object(Bucket=bucket, Key=key(str(number)), Body=log_file(record(number=number)))
        aws.client("sqs").send_message(QueueUrl=url, MessageBody=s3_event(key(str(number)), bucket=bucket))
    async with stormy(aws, 7) as road:
        trail = {
            "queues": [{"url": url, "region": REGION}],
            "buckets": {bucket: {"region": REGION, "role_arn": ROLE.arn, "external_id": ROLE.external_id}},
        }
        pem = {"eu-central-1": authority.pem}
        async with aggregator(
            tmp_path, tmp_path, authority_pem=pem, cloud_trail=trail, aws_endpoint_url=road
        ) as running:
            assert await reached(running, STORMY_FILES) == STORMY_FILES
            assert (await running.get("/v1/events/dead"))["letters"] == []
