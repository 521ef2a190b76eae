"""Messages of a trail's queue: which objects they name in each form, and why a message cannot be used."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.cloud_trail import ACCOUNT, BUCKET, REGION, bridged, key, record, s3_event, sns, trail_notice
from whence_aggregator.events.envelopes import InlineRecord, NamedObjects, Nothing, parse_envelope
from whence_aggregator.events.object_keys import TrailKey, TrailObject, parse_key
from whence_aggregator.events.refused import TrailRefused

ODD = "audit copy/AWSLogs/123456789012/CloudTrail/eu-central-1/2026/11/22/a+b=c ü.json.gz"


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "by SNS"])
def test_an_s3_event_names_its_objects_with_keys_decoded_from_their_url_form(wrapped: bool) -> None:
    body = s3_event(ODD, key())
    assert parse_envelope(sns(body) if wrapped else body) == NamedObjects(
        objects=[TrailObject(bucket=BUCKET, key=ODD, etag="e1"), TrailObject(bucket=BUCKET, key=key(), etag="e1")]
    )


def test_the_topic_of_a_trail_names_keys_as_they_are() -> None:
    assert parse_envelope(trail_notice([key("1"), "a%2Bb"])) == NamedObjects(
        objects=[TrailObject(bucket=BUCKET, key=key("1")), TrailObject(bucket=BUCKET, key="a%2Bb")]
    )


def test_raw_delivery_leaves_the_wrapping_out() -> None:
    body = json.dumps({"s3Bucket": BUCKET, "s3ObjectKey": [key()]})
    assert parse_envelope(body) == NamedObjects(objects=[TrailObject(bucket=BUCKET, key=key())])


def test_eventbridge_sends_the_record_itself() -> None:
    found = parse_envelope(bridged(record()))
    assert isinstance(found, InlineRecord)
    assert (found.account_id, found.region, json.loads(found.record)) == (ACCOUNT, REGION, record())


@pytest.mark.parametrize(
    "body, reason",
    [
        (json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET}), "S3's test message"),
        (sns(json.dumps({"Event": "s3:TestEvent"})), "S3's test message"),
        (sns("hello", "SubscriptionConfirmation"), "an SNS message of type SubscriptionConfirmation"),
        (
            bridged(record()).replace("AWS API Call via CloudTrail", "EC2 Instance State-change Notification"),
            "EventBridge's event of type EC2 Instance State-change Notification",
        ),
        (s3_event(key()).replace("ObjectCreated:Put", "ObjectRemoved:Delete"), "an S3 event without new objects"),
        (json.dumps({"Records": []}), "an S3 event without new objects"),
    ],
)
def test_messages_without_an_event_are_left_out_with_the_reason(body: str, reason: str) -> None:
    assert parse_envelope(body) == Nothing(reason=reason)


@pytest.mark.parametrize(
    "body, code",
    [
        ("", "message-malformed"),
        ("hello", "message-malformed"),
        ("[]", "message-malformed"),
        ("{}", "message-unknown"),
        ('{"Message": null, "s3Bucket": "trail-logs"}', "message-unknown"),
        ("[" * 100_000, "message-malformed"),
        ('{"detail": ' + "[" * 100_000, "message-malformed"),
        (json.dumps({"Records": [{"s3": {"bucket": {"name": BUCKET}}}]}), "message-malformed"),
        (sns(sns(sns(sns("{}")))), "message-nested"),
        (trail_notice([f"{n}" for n in range(101)]), "message-too-long"),
        (trail_notice([""]), "object-malformed"),
        (trail_notice(["a" * 1025]), "object-malformed"),
        (trail_notice(["a\x00b"]), "object-malformed"),
        (trail_notice([key()], bucket="../etc"), "object-malformed"),
        ('{"Message": "' + "a" * 1024 * 1024 + '"}', "message-too-long"),
    ],
)
def test_a_message_that_cannot_be_used_is_refused_with_a_code(body: str, code: str) -> None:
    with pytest.raises(TrailRefused) as caught:
        parse_envelope(body)
    assert caught.value.code == code
    assert len(caught.value.message) < 500


def test_an_event_that_somebody_put_on_the_bus_is_no_record_of_cloudtrail() -> None:
    with pytest.raises(TrailRefused) as refused:
        parse_envelope(bridged(record()).replace('"aws.ec2"', '"custom.app"'))
    assert refused.value.code == "event-not-of-aws"


@given(st.text())
def test_no_text_at_all_does_anything_else_than_to_be_read_or_refused(text: str) -> None:
    for body in (text, sns(text), json.dumps({"Records": text}), json.dumps({"detail": text})):
        try:
            parse_envelope(body)
        except TrailRefused:
            continue


DIGEST = (
    "AWSLogs/123456789012/CloudTrail-Digest/us-gov-west-1/2026/11/22/123456789012_CloudTrail-Digest_x_20261122T120000Z"
)


@pytest.mark.parametrize(
    "name, expected",
    [
        (key(), TrailKey(sort="log", account_id=ACCOUNT, region=REGION)),
        (key(organisation="o-exampleorgid"), TrailKey(sort="log", account_id=ACCOUNT, region=REGION)),
        (f"{DIGEST}.json.gz", TrailKey(sort="digest", account_id=ACCOUNT, region="us-gov-west-1")),
        (
            f"{DIGEST}_backfill.json.gz",
            TrailKey(sort="digest", account_id=ACCOUNT, region="us-gov-west-1", backfill=True),
        ),
        ("AWSLogs/123456789012/elasticloadbalancing/eu-central-1/2026/11/22/a.log.gz", None),
        ("AWSLogs/123456789012/CloudTrail-Insight/eu-central-1/2026/11/22/a.json.gz", None),
        ("AWSLogs/1/CloudTrail/eu-central-1/2026/11/22/a.json.gz", None),
        ("AWSLogs/123456789012/CloudTrail/../2026/11/22/a.json.gz", None),
        ("", None),
    ],
)
def test_a_key_states_the_account_and_region_of_its_events(name: str, expected: TrailKey | None) -> None:
    assert parse_key(name) == expected
