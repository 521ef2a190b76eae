"""The way of a trail's events to the aggregator: a topic that CloudTrail publishes to, its queue, and dead letters.

The policies of topic and queue are stated whole: the aggregator trusts the queue's policy to admit no other sender.
"""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.accounts.arns import arn_of
from whence_aggregator.accounts.canonical import policy, statement
from whence_aggregator.accounts.configuration.cloudtrail import TrailEvents
from whence_aggregator.accounts.resources import Json, ResourceKind, WantedResource, address_of, of, own_tags

CLOUDTRAIL_SERVICE = "cloudtrail.amazonaws.com"
_STEP = "cloudtrail"
_RETENTION_SECONDS = 1_209_600
"""SQS's longest: fourteen days."""

TOPIC = ResourceKind(
    name="topic",
    step=_STEP,
    reads=("tag:GetResources", "sns:GetTopicAttributes", "sns:ListTagsForResource"),
    writes=("sns:CreateTopic", "sns:SetTopicAttributes", "sns:TagResource", "sns:DeleteTopic"),
    after=("key",),
    is_regional=True,
    keeps_data=True,
)
QUEUE = ResourceKind(
    name="queue",
    step=_STEP,
    reads=("tag:GetResources", "sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:ListQueueTags"),
    writes=("sqs:CreateQueue", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:DeleteQueue"),
    after=("key", "role"),
    is_regional=True,
    keeps_data=True,
)
SUBSCRIPTION = ResourceKind(
    name="subscription",
    step=_STEP,
    reads=("tag:GetResources", "sns:ListSubscriptionsByTopic", "sns:GetSubscriptionAttributes"),
    writes=("sns:Subscribe", "sns:SetSubscriptionAttributes", "sns:Unsubscribe"),
    after=("topic", "queue"),
    is_regional=True,
    fixed=("topic", "queue"),
    keeps_data=True,
)


def topic_address(events: TrailEvents, region: str) -> str:
    return address_of(TOPIC.name, events.topic_name, region)


def wanted_events(
    events: TrailEvents, *, region: str, account_id: str, trail_arn: str, reader: str | None, kms_key: Json
) -> Sequence[WantedResource]:
    """Return topic, queues and subscription. `reader` is the ARN of the role that receives from the queue.

    `kms_key` is the ARN of the key of topic and queues, a reference to it, or None.
    """
    topic = arn_of("sns", region, account_id, events.topic_name)
    queue = arn_of("sqs", region, account_id, events.queue_name)
    dead = f"{events.queue_name}-dead"
    encryption: Json = {"kms_key": kms_key, "sqs_managed": kms_key is None}
    readers = [] if reader is None else [_receives(queue, reader)]
    return (
        WantedResource(
            kind=TOPIC, name=events.topic_name, region=region,
            state={
                "kms_key": kms_key,
                "policy": _policy(_sends("sns:Publish", CLOUDTRAIL_SERVICE, to=topic, of_source=trail_arn)),
                "tags": own_tags(),
            },
        ),
        WantedResource(
            kind=QUEUE, name=dead, region=region,
            state={"encryption": encryption, "retention_seconds": _RETENTION_SECONDS, "tags": own_tags()},
        ),
        WantedResource(
            kind=QUEUE, name=events.queue_name, region=region,
            state={
                "encryption": encryption,
                "retention_seconds": _RETENTION_SECONDS,
                "tags": own_tags(),
                "dead_letters": {
                    "queue": of(address_of(QUEUE.name, dead, region), "arn"), "receives_max": events.receives_max
                },
                "policy": _policy(
                    _sends("sqs:SendMessage", "sns.amazonaws.com", to=queue, of_source=topic), *readers
                ),
            },
        ),
        WantedResource(
            kind=SUBSCRIPTION, name=f"{events.topic_name}/{events.queue_name}", region=region,
            state={
                "topic": of(topic_address(events, region), "arn"),
                "queue": of(address_of(QUEUE.name, events.queue_name, region), "arn"),
                "raw_message_delivery": False,  # the aggregator's setting `topics` needs the notification's TopicArn
                "filter_policy": None,
            },
        ),
    )  # fmt: skip


def _policy(*statements: Json) -> Json:
    return policy({"Version": "2012-10-17", "Statement": list(statements)})


def _sends(action: str, service: str, *, to: str, of_source: str) -> Json:
    return statement(
        {
            "Sid": "WhenceSends", "Effect": "Allow", "Principal": {"Service": service}, "Action": action,
            "Resource": to, "Condition": {"ArnEquals": {"aws:SourceArn": of_source}},
        }
    )  # fmt: skip


def _receives(queue: str, role: str) -> Json:
    actions = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility", "GetQueueAttributes")
    return statement(
        {
            "Sid": "WhenceReceives", "Effect": "Allow", "Principal": {"AWS": role},
            "Action": [f"sqs:{one}" for one in actions], "Resource": queue,
        }
    )  # fmt: skip
