"""The way of a trail's events, on moto: topic, queue, dead letters and subscription."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.account_world import REGION, AccountWorld, account_world
from fakes.aws_refusals import denied
from fakes.aws_sqs import policies_kept
from landscape.aws import Aws
from whence_aggregator.accounts.steps import cloudtrail
from whence_aggregator.accounts.steps.trail_events import QUEUE, SUBSCRIPTION, TOPIC

_STEPS = (cloudtrail.STEP,)
_BUCKET = "the-logs"
_KINDS = (TOPIC, QUEUE, SUBSCRIPTION)


@asynccontextmanager
async def a_world(moto: Aws, **events: Any) -> AsyncIterator[AccountWorld]:
    section = {"s3_bucket_name": _BUCKET, "events": events}
    async with account_world(moto.url, steps=_STEPS, settings={"cloudtrail": section}) as world:
        name = f"logs-{world.account_id}"
        section["s3_bucket_name"] = name
        world.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        world.aws.extensions["sqs:SetQueueAttributes"] = policies_kept(world.client("sqs"))
        yield world


def arn(world: AccountWorld, service: str, name: str = "whence-trail") -> str:
    return f"arn:aws:{service}:{REGION}:{world.account_id}:{name}"


def queue_attributes(world: AccountWorld, name: str = "whence-trail") -> dict[str, Any]:
    sqs = world.client("sqs")
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    found: dict[str, Any] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return found


def url_of(world: AccountWorld, name: str = "whence-trail") -> str:
    return str(world.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


async def test_a_fresh_account_gets_topic_queue_dead_letters_and_subscription_in_one_apply(moto: Aws) -> None:
    async with a_world(moto) as world:
        await world.converge()
        topic = world.client("sns").get_topic_attributes(TopicArn=arn(world, "sns"))["Attributes"]
        assert json.loads(topic["Policy"])["Statement"] == [
            {
                "Sid": "WhenceSends",
                "Effect": "Allow",
                "Principal": {"Service": ["cloudtrail.amazonaws.com"]},
                "Action": ["sns:Publish"],
                "Resource": [arn(world, "sns")],
                "Condition": {"ArnEquals": {"aws:SourceArn": [arn(world, "cloudtrail", "trail/Default")]}},
            }
        ]
        queue = queue_attributes(world)
        sends, receives = json.loads(queue["Policy"])["Statement"]
        assert sends["Principal"] == {"Service": ["sns.amazonaws.com"]}
        assert sends["Action"] == ["sqs:SendMessage"]
        assert sends["Condition"] == {"ArnEquals": {"aws:SourceArn": [arn(world, "sns")]}}
        assert receives["Principal"] == {"AWS": [f"arn:aws:iam::{world.account_id}:role/fullstop"]}
        assert receives["Action"] == [
            "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage",
        ]  # fmt: skip
        redrive = json.loads(queue["RedrivePolicy"])
        assert redrive == {"deadLetterTargetArn": arn(world, "sqs", "whence-trail-dead"), "maxReceiveCount": 100}
        assert (queue["SqsManagedSseEnabled"], queue["MessageRetentionPeriod"]) == ("true", "1209600")
        (subscribed,) = world.client("sns").list_subscriptions_by_topic(TopicArn=arn(world, "sns"))["Subscriptions"]
        assert (subscribed["Protocol"], subscribed["Endpoint"]) == ("sqs", arn(world, "sqs"))
        trail = world.client("cloudtrail").get_trail(Name="Default")["Trail"]
        assert trail["SnsTopicARN"] == arn(world, "sns")


async def test_providers_call_what_their_kinds_state_and_nothing_else(moto: Aws) -> None:
    async with a_world(moto) as world:
        await world.apply(await world.plan())
        allowed = {one for kind in _KINDS for one in (*kind.reads, *kind.writes)}
        called = {one.name.replace("tagging:", "tag:") for one in world.aws.calls}
        assert {one for one in called if one.startswith(("sns:", "sqs:", "tag:"))} <= allowed


def _policy(world: AccountWorld) -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*",
                                                               "Resource": "*"}]})  # fmt: skip
    world.client("sqs").set_queue_attributes(QueueUrl=url_of(world), Attributes={"Policy": text})


def _no_dead_letters(world: AccountWorld) -> None:
    kept = queue_attributes(world)["Policy"]
    attributes = {"RedrivePolicy": "", "Policy": kept}
    world.client("sqs").set_queue_attributes(QueueUrl=url_of(world), Attributes=attributes)


def _short_retention(world: AccountWorld) -> None:
    url = url_of(world, "whence-trail-dead")
    world.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"MessageRetentionPeriod": "60"})


def _unencrypted(world: AccountWorld) -> None:
    url = url_of(world, "whence-trail-dead")
    world.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"SqsManagedSseEnabled": "false"})


def _open_topic(world: AccountWorld) -> None:
    text = json.dumps({"Version": "2012-10-17", "Statement": []})
    world.client("sns").set_topic_attributes(TopicArn=arn(world, "sns"), AttributeName="Policy", AttributeValue=text)


def _raw(world: AccountWorld) -> None:
    _set_subscription(world, "RawMessageDelivery", "true")


def _filtered(world: AccountWorld) -> None:
    _set_subscription(world, "FilterPolicy", '{"kind": ["nothing"]}')


def _set_subscription(world: AccountWorld, name: str, value: str) -> None:
    sns = world.client("sns")
    (one,) = sns.list_subscriptions_by_topic(TopicArn=arn(world, "sns"))["Subscriptions"]
    sns.set_subscription_attributes(
        SubscriptionArn=one["SubscriptionArn"], AttributeName=name, AttributeValue=value
    )  # fmt: skip


def _foreign_key(world: AccountWorld) -> None:
    sns, key = world.client("sns"), "alias/aws/sns"
    sns.set_topic_attributes(TopicArn=arn(world, "sns"), AttributeName="KmsMasterKeyId", AttributeValue=key)


@pytest.mark.parametrize(
    "by_hand, address, aspect",
    [
        (_policy, "queue/whence-trail", "policy"),
        (_no_dead_letters, "queue/whence-trail", "dead_letters"),
        (_short_retention, "queue/whence-trail-dead", "retention_seconds"),
        (_unencrypted, "queue/whence-trail-dead", "encryption"),
        (_open_topic, "topic/whence-trail", "policy"),
        (_foreign_key, "topic/whence-trail", "kms_key"),
        (_raw, "subscription/whence-trail/whence-trail", "raw_message_delivery"),
        (_filtered, "subscription/whence-trail/whence-trail", "filter_policy"),
    ],
)
async def test_a_change_by_hand_is_drift_in_one_aspect_and_is_put_right(
    moto: Aws, by_hand: Any, address: str, aspect: str
) -> None:
    async with a_world(moto) as world:
        await world.converge()
        by_hand(world)
        plan = await world.plan()
        assert [(one.address, list(one.after or {})) for one in plan.changes] == [(f"{REGION}/{address}", [aspect])]
        await world.converge()


async def test_what_was_deleted_by_hand_is_created_again(moto: Aws) -> None:
    async with a_world(moto) as world:
        await world.converge()
        world.client("sqs").delete_queue(QueueUrl=url_of(world))
        world.client("sns").delete_topic(TopicArn=arn(world, "sns"))
        plan = await world.plan()
        assert [(one.address, one.action) for one in plan.changes] == [
            (f"{REGION}/queue/whence-trail", "create"),
            (f"{REGION}/topic/whence-trail", "create"),
            (f"{REGION}/subscription/whence-trail/whence-trail", "create"),
            (f"{REGION}/trail/Default", "update"),
        ]
        await world.converge()


async def test_a_queue_of_others_with_this_name_is_left_as_it_is_until_it_is_adopted(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.client("sqs").create_queue(QueueName="whence-trail", Attributes={"MessageRetentionPeriod": "60"})
        await world.apply(await world.plan())
        before = queue_attributes(world)
        plan = await world.plan()
        assert [(one.kind, one.address) for one in plan.remarks] == [("foreign", f"{REGION}/queue/whence-trail")]
        assert (before["MessageRetentionPeriod"], "Policy" in before) == ("60", False)
        await world.converge(adopt=("*/queue/whence-trail",))
        assert queue_attributes(world)["MessageRetentionPeriod"] == "1209600"


async def test_a_topic_of_others_with_this_name_keeps_its_policy(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.client("sns").create_topic(Name="whence-trail")
        await world.apply(await world.plan())
        (remark,) = (await world.plan()).remarks
        assert remark.message == "it exists without our tag and differs in policy, tags: not changed"
        policy = world.client("sns").get_topic_attributes(TopicArn=arn(world, "sns"))["Attributes"]["Policy"]
        assert json.loads(policy)["Statement"][0]["Sid"] == "__default_statement_ID"


async def test_subscriptions_of_others_are_named_without_their_endpoints_and_stay(moto: Aws) -> None:
    async with a_world(moto) as world:
        await world.converge()
        sns = world.client("sns")
        sns.subscribe(TopicArn=arn(world, "sns"), Protocol="https", Endpoint="https://pager.example.org/?key=SECRET")
        elsewhere = f"arn:aws:sqs:{REGION}:210987654321:whence-trail"
        sns.subscribe(TopicArn=arn(world, "sns"), Protocol="sqs", Endpoint=elsewhere)
        plan = await world.plan()
        assert plan.changes == ()
        kinds = [one.message.split(" subscription ")[0] for one in plan.remarks]
        assert kinds == ["https", "sqs"]
        assert "SECRET" not in str(plan)
        assert len(sns.list_subscriptions_by_topic(TopicArn=arn(world, "sns"))["Subscriptions"]) == 3


async def test_what_is_no_longer_configured_is_kept_until_it_is_named(moto: Aws) -> None:
    async with a_world(moto) as world:
        await world.converge()
        del world.settings["cloudtrail"]["events"]
        plan = await world.plan()
        assert [(one.address, list(one.after or {})) for one in plan.changes] == [
            (f"{REGION}/trail/Default", ["topic"])
        ]
        assert sorted(one.address for one in plan.remarks if one.kind == "kept") == [
            f"{REGION}/queue/whence-trail",
            f"{REGION}/queue/whence-trail-dead",
            f"{REGION}/subscription/whence-trail/whence-trail",
            f"{REGION}/topic/whence-trail",
        ]
        await world.converge(delete=("*/topic/*", "*/queue/*", "*/subscription/*"))
        assert world.client("sns").list_topics()["Topics"] == []
        assert "QueueUrls" not in world.client("sqs").list_queues()
        assert world.client("cloudtrail").get_trail(Name="Default")["Trail"].get("SnsTopicARN") is None


async def test_a_key_of_kms_encrypts_topic_and_queues(moto: Aws) -> None:
    key = f"arn:aws:kms:{REGION}:123456789012:key/11111111-2222-4333-8444-555555555555"
    async with a_world(moto, kms_key=key) as world:
        await world.converge()
        topic = world.client("sns").get_topic_attributes(TopicArn=arn(world, "sns"))["Attributes"]
        keys = [queue_attributes(world, name)["KmsMasterKeyId"] for name in ("whence-trail", "whence-trail-dead")]
        assert [topic["KmsMasterKeyId"], *keys] == [key, key, key]
        del world.settings["cloudtrail"]["events"]["kms_key"]
        await world.converge()
        assert "KmsMasterKeyId" not in queue_attributes(world)


async def test_a_denied_list_is_unread_and_changes_nothing_of_its_kind(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.aws.before = denied("tagging:GetResources")
        plan = await world.plan()
        assert sorted((one.kind, one.address) for one in plan.remarks) == [
            ("unread", f"{REGION}/queue/*"),
            ("unread", f"{REGION}/subscription/*"),
            ("unread", f"{REGION}/topic/*"),
            ("unread", f"{REGION}/trail/Default"),
            ("unsearched", f"{REGION}/log-group/*"),
        ]
        assert plan.changes == (), "the trail refers to the topic"


async def test_a_refused_subscription_is_reported_and_the_next_apply_goes_on(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.aws.before = denied("sns:Subscribe")
        report = await world.apply(await world.plan())
        assert [one.address for one in report.changes if one.outcome == "failed"] == [
            f"{REGION}/subscription/whence-trail/whence-trail"
        ]
        world.aws.before = lambda _: None
        report = await world.converge()
        assert [(one.address, one.outcome) for one in report.changes] == [
            (f"{REGION}/subscription/whence-trail/whence-trail", "done")
        ]


async def test_a_trail_waits_for_a_topic_that_could_not_be_created(moto: Aws) -> None:
    async with a_world(moto) as world:
        world.aws.before = denied("sns:CreateTopic")
        report = await world.apply(await world.plan())
        outcomes = {one.address.partition("/")[2]: (one.outcome, one.message) for one in report.changes}
        needs = f"it needs {REGION}/topic/whence-trail, which was not written"
        assert outcomes["trail/Default"] == ("skipped", needs)
        assert outcomes["subscription/whence-trail/whence-trail"] == ("skipped", needs)
        assert outcomes["queue/whence-trail"][0] == "done"
