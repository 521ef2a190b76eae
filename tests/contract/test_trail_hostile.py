"""Hostile messages and files: what cannot be used is a dead letter with its reason, and no other event is lost by it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from fakes.cloud_trail import ACCOUNT, INSTANCE, REGION, assumed, bridged, key, log_file, record, s3_event, sns, user
from fakes.in_process import InProcess
from fakes.trail_world import TrailWorld

TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:trail"
HUGE_NUMBER = b"9" * 5_000
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
"""What is tested here is decided above the database."""


def ids(events: list[dict[str, object]]) -> list[int]:
    return sorted(int(str(one["event_id"])[-12:], 16) for one in events)


def beside(hostile: bytes) -> bytes:
    """Return a file with a sound record before and after a hostile one."""
    first, last = (json.dumps(record(number=number)).encode() for number in (1, 3))
    return gzip.compress(b'{"Records":[' + first + b"," + hostile + b"," + last + b"]}")


def changed(old: str, new: bytes, one: dict[str, Any] | None = None) -> bytes:
    return json.dumps(one if one is not None else record(number=2)).encode().replace(old.encode(), new)


@pytest.mark.parametrize(
    "hostile, code",
    [
        (b"null", "record-malformed"),
        (b"[]", "record-malformed"),
        (b"{}", "record-malformed"),
        (changed('"1.11"', b'"2.0"'), "record-version"),
        (changed('"1.11"', b"null"), "record-malformed"),
        (changed('"minCount": 1', b'"minCount": ' + b"[" * 5_000 + b"]" * 5_000), "record-malformed"),
        (changed(f'"recipientAccountId": "{ACCOUNT}"', b'"recipientAccountId": "210987654321"'), "account-foreign"),
        (changed('"2026-11-22T12:00:00Z"', b'"-1"'), "record-malformed"),
        (changed('"minCount": 1', b'"x": "' + b"a" * 1_100_000 + b'"'), "record-too-large"),
        (changed('"eventID": "', b'"eventID": "\\u0000'), "record-malformed"),
        (changed('"awsRegion": "eu-central-1"', b'"awsRegion": "../.."'), "record-malformed"),
        (changed('"1.11"', b'"1.11", "eventVersion": "3.0"'), "record-version"),  # the last of two keys counts
        (changed('"minCount": 1', b'"minCount": "\\ud800"'), "record-malformed"),
        (changed('"minCount": 1', b'"minCount": "\\udc00x"'), "record-malformed"),
        (changed('"userIdentity": {', b'"userIdentity": 1, "x": {'), "record-malformed"),
        (changed(f'"recipientAccountId": "{ACCOUNT}"', b'"recipientAccountId": "210987654321"',
                 assumed(caller=user())), "account-foreign"),
    ],
)  # fmt: skip
async def test_a_hostile_record_is_a_dead_letter_and_hides_no_other(
    house: InProcess, hostile: bytes, code: str
) -> None:
    world = TrailWorld(house)
    world.objects.put(key(), beside(hostile))
    world.queue.send(s3_event(key()))
    await world.settle()
    assert ids(await world.events()) == [1, 3]
    assert [one[1] for one in await world.dead()] == [code]


@pytest.mark.parametrize(
    "hostile",
    [
        changed('"minCount": 1', b'"minCount": ' + HUGE_NUMBER),
        changed('"minCount": 1', b'"minCount": 1e999999'),
        changed('"responseElements": {', b'"responseElements": null, "x": {'),
        changed('"userAgent": "', b'"userAgent": "\\u0000\\u001b[2J'),
        changed('"errorCode"', b'"errorCode"', {**record(number=2), "errorCode": "Client.UnauthorizedOperation"}),
        json.dumps(assumed(caller=user(), requestParameters=None)).encode(),
        json.dumps(assumed(caller=user(), responseElements=[1])).encode(),
        json.dumps(assumed(caller=user(), responseElements={"credentials": "x"}, sharedEventID="?")).encode(),
    ],
)
async def test_a_strange_record_is_used_or_refused_and_hides_no_other(house: InProcess, hostile: bytes) -> None:
    world = TrailWorld(house)
    world.objects.put(key(), beside(hostile))
    world.queue.send(s3_event(key()))
    await world.settle()
    assert {1, 3} <= set(ids(await world.events()))
    assert len(await world.dead()) <= 1


@pytest.mark.parametrize(
    "content, code",
    [
        (lambda: gzip.compress(b" " * 270_000_000, 1), "file-too-large"),
        (lambda: log_file(record())[:-9], "file-truncated"),
        (lambda: log_file(record()) + b"PK", "file-trailing"),
        (lambda: b"\x1f\x8b" + b"\xff" * 100, "file-not-gzip"),
        (lambda: gzip.compress(b'{"Records":null}'), "file-malformed"),
        (lambda: gzip.compress(b"null"), "file-malformed"),
        (lambda: gzip.compress(b"[" * 1_000_000), "file-malformed"),
        (lambda: gzip.compress(gzip.compress(b'{"Records":[]}')), "file-malformed"),
        (lambda: b"", "file-malformed"),
    ],
    ids=["bomb", "truncated", "trailing", "damaged", "null records", "null", "deep", "twice", "empty"],
)
async def test_a_hostile_file_is_a_dead_letter_and_the_next_one_is_read(
    house: InProcess, content: Callable[[], bytes], code: str
) -> None:
    world = TrailWorld(house)
    world.objects.put(key("bad"), content())
    world.objects.put(key("good"), log_file(record(number=7)))
    world.queue.send(s3_event(key("bad"), key("good")))
    await world.settle()
    assert ids(await world.events()) == [7]
    assert await world.dead() == [("object", code, -1)]
    assert not world.queue.bodies


@pytest.mark.parametrize(
    "body, code",
    [
        (sns(s3_event(key())).replace(":trail", ":another"), "topic-foreign"),
        (sns(s3_event(key())).replace(f'"TopicArn": "{TOPIC}", ', ""), "topic-foreign"),
        (sns(sns(s3_event(key()))).replace(":trail", ":another", 1), "topic-foreign"),
        (bridged(record()).replace('"minCount": 1', '"x": "' + "a" * 1_048_576 + '"'), "message-too-long"),
        (bridged(record()).replace('"minCount": 1', '"x": ' + "[" * 100_000 + "]" * 100_000), "message-malformed"),
        (bridged(record(eventVersion="9.9")), "record-version"),
        (bridged(record()).replace(f'"account": "{ACCOUNT}"', '"account": null'), "message-malformed"),
        (bridged(record(), account="210987654321"), "account-not-accepted"),
        ('{"detail": null, "detail-type": "AWS API Call via CloudTrail", "account": "123456789012"}', "event-not-of-aws"),
        (
            '{"detail": null, "detail-type": "AWS API Call via CloudTrail", "source": "aws.ec2", '
            '"account": "123456789012"}',
            "record-malformed",
        ),
    ],
)  # fmt: skip
async def test_a_hostile_message_is_a_dead_letter_and_is_not_received_again(
    house: InProcess, body: str, code: str
) -> None:
    world = TrailWorld(house, topics=[TOPIC])
    world.objects.put(key(), log_file(record(number=9)))
    world.queue.send(body)
    world.queue.send(bridged(record("StopInstances", 5)))
    await world.settle()
    assert ids(await world.events()) == [5]
    assert [(sort, code_) for sort, code_, _ in await world.dead()] == [("message", code)]
    assert not world.queue.bodies


async def test_the_notification_of_a_named_topic_is_taken_and_a_wrong_one_after_it_was_named(house: InProcess) -> None:
    world = TrailWorld(house, topics=[TOPIC])
    world.objects.put(key(), log_file(record(number=9)))
    world.queue.send(sns(s3_event(key())))
    await world.settle()
    (event,) = await world.events()
    assert event["instances"] == [INSTANCE]
