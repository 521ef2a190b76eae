"""Bodies of SQS messages: which objects of a trail they name, or the one record that they contain. Pure.

Four forms, also as the `Message` of an SNS notification: an S3 event, CloudTrail's own `{s3Bucket, s3ObjectKey[]}`,
EventBridge's event with the record in `detail`, and S3's test message.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote_plus

import msgspec

from whence_aggregator.events.object_keys import KEY_CHARACTERS_MAX, TrailObject, is_bucket
from whence_aggregator.events.refused import TrailRefused
from whence_common.errors import one_line
from whence_common.storable import is_storable

BODY_BYTES_MAX = 1024 * 1024
"""SQS's own bound on a message."""
OBJECTS_MAX = 100
"""In one message: S3 names one, CloudTrail's topic a few."""
_SNS_DEPTH_MAX = 2
"""An SNS topic may forward to another one; nothing forwards more often."""
X = TypeVar("X")
_ABSENT = msgspec.Raw()
_AWS = "aws."
"""EventBridge refuses events with such a source from whoever is not AWS (PutEvents)."""
EVENT_BRIDGE_DETAIL = "AWS API Call via CloudTrail"


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedObjects:
    """A message that names objects; those that are not a trail's are named by their keys too."""

    objects: Sequence[TrailObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class InlineRecord:
    """A message of EventBridge with the record itself. `account_id` and `region` are the envelope's."""

    account_id: str
    region: str
    record: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """A message without any event; `reason` states why."""

    reason: str


TrailEnvelope = NamedObjects | InlineRecord | Nothing


class _Any(msgspec.Struct, frozen=True):
    """The members by which the forms are told apart."""

    event: str | None = msgspec.field(name="Event", default=None)
    type_: str | None = msgspec.field(name="Type", default=None)
    message: str | None = msgspec.field(name="Message", default=None)
    topic_arn: str | None = msgspec.field(name="TopicArn", default=None)
    records: msgspec.Raw = msgspec.field(name="Records", default=_ABSENT)
    s3_bucket: str | None = msgspec.field(name="s3Bucket", default=None)
    s3_object_key: list[str] | None = msgspec.field(name="s3ObjectKey", default=None)
    detail_type: str | None = msgspec.field(name="detail-type", default=None)
    detail: msgspec.Raw = _ABSENT
    source: str = ""
    account: str = ""
    region: str = ""


class _Bucket(msgspec.Struct, frozen=True):
    name: str


class _Object(msgspec.Struct, frozen=True, rename={"etag": "eTag"}):
    key: str
    etag: str = ""


class _S3(msgspec.Struct, frozen=True):
    bucket: _Bucket
    object: _Object


class _S3Record(msgspec.Struct, frozen=True, rename={"event_name": "eventName"}):
    s3: _S3
    event_name: str = ""


def parse_envelope(body: str, *, topics: Collection[str] = ()) -> TrailEnvelope:
    """Return what a message is about. Raises TrailRefused with the reason for a dead letter.

    With `topics`, each SNS notification must state one of them.
    """
    for _ in range(_SNS_DEPTH_MAX + 1):
        form = _decoded(body, _Any)
        if form.message is None:
            return _of_form(form)
        if form.type_ not in (None, "Notification"):
            return Nothing(reason=f"an SNS message of type {one_line(str(form.type_), 60)}")
        if topics and form.topic_arn not in topics:
            stated = one_line(str(form.topic_arn), 200)
            fix = "add it to the queue's topics, and replay"
            raise TrailRefused("topic-foreign", f"the SNS notification is of topic {stated}", fix=fix)
        # NOTE: SNS's signature is not verified: the queue's policy states who may send, and a message only names
        # objects, which are read from the buckets in the settings with our own credentials
        body = form.message
    raise TrailRefused("message-nested", f"the message is an SNS notification within {_SNS_DEPTH_MAX} others")


def _of_form(form: _Any) -> TrailEnvelope:
    if form.event == "s3:TestEvent":
        return Nothing(reason="S3's test message")
    if form.detail is not _ABSENT:
        return _inline(form)
    if form.s3_bucket is not None and form.s3_object_key is not None:
        return _named([(form.s3_bucket, key, "") for key in form.s3_object_key])
    if form.records is not _ABSENT:
        records = _decoded(bytes(form.records), list[_S3Record])
        found = [
            (one.s3.bucket.name, unquote_plus(one.s3.object.key, errors="replace"), one.s3.object.etag)
            for one in records
            if not one.event_name.startswith(("ObjectRemoved", "s3:ObjectRemoved", "Lifecycle", "s3:Lifecycle"))
        ]
        return _named(found) if found else Nothing(reason="an S3 event without new objects")
    raise TrailRefused("message-unknown", "the message has none of the forms in which AWS names objects or events")


def _inline(form: _Any) -> TrailEnvelope:
    if form.detail_type != EVENT_BRIDGE_DETAIL:
        return Nothing(reason=f"EventBridge's event of type {one_line(str(form.detail_type), 60)}")
    if not form.source.startswith(_AWS):
        shown = one_line(form.source, 60)
        raise TrailRefused("event-not-of-aws", f"the event's source is {shown!r}, not AWS: anybody may have put it")
    return InlineRecord(account_id=form.account, region=form.region, record=bytes(form.detail))


def _named(found: Sequence[tuple[str, str, str]]) -> NamedObjects:
    if len(found) > OBJECTS_MAX:
        raise TrailRefused(
            "message-too-long", f"the message names {len(found)} objects, and at most {OBJECTS_MAX} are read"
        )
    for bucket, key, etag in found:
        if not is_bucket(bucket) or not 0 < len(key.encode(errors="replace")) <= KEY_CHARACTERS_MAX:
            raise TrailRefused("object-malformed", f"not a bucket and a key: {one_line(f'{bucket}/{key}', 200)!r}")
        if not is_storable(key) or not is_storable(etag) or len(etag) > 200:
            raise TrailRefused("object-malformed", f"the key or tag cannot be stored: {one_line(key, 200)!r}")
    return NamedObjects(objects=[TrailObject(bucket=b, key=k, etag=e.strip('"')) for b, k, e in dict.fromkeys(found)])


def _decoded(body: str | bytes, shape: type[X]) -> X:
    if len(body) > BODY_BYTES_MAX:
        raise TrailRefused(
            "message-too-long", f"the message has {len(body)} bytes, and at most {BODY_BYTES_MAX} are read"
        )
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        reason = "nested too deeply" if isinstance(exc, RecursionError) else one_line(str(exc), 200)
        raise TrailRefused("message-malformed", f"the message is not JSON of a known form: {reason}") from exc
