"""Queues, by SQS."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.arns import arn_of
from whence_aggregator.accounts.canonical import policy
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.trail_events import QUEUE
from whence_aggregator.adapters.accounts.answers import answered
from whence_aggregator.adapters.accounts.calls import gathered, own_arns
from whence_aggregator.adapters.accounts.place import AwsPlace

_GONE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
_ATTRIBUTES = ("encryption", "retention_seconds", "dead_letters", "policy")


class QueueProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        by_name = {one.name: one for one in wanted}
        own = {arn.rpartition(":")[2] for arn in await own_arns(self._place, "sqs")}
        sqs = await self._place.client("sqs")
        found = await gathered(self._queue(sqs, name, by_name.get(name)) for name in sorted({*by_name, *own}))
        return [one for one in found if one is not None]

    async def find(self) -> Sequence[StandingResource]:
        """Return queues of our own. The configuration states no others: it states their policies whole."""
        return await self.read(())

    async def create(self, wanted: WantedResource) -> None:
        sqs = await self._place.client("sqs")
        attributes: dict[str, str] = {}
        for aspect in (one for one in _ATTRIBUTES if wanted.state.get(one) is not None):
            attributes |= _attributes(aspect, wanted.state[aspect])
        given = {name: value for name, value in attributes.items() if value}
        await sqs.create_queue(QueueName=wanted.name, Attributes=given, tags=wanted.state["tags"])

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        sqs, url = await self._place.client("sqs"), str(standing.outputs["url"])
        if aspect == "tags":
            await sqs.tag_queue(QueueUrl=url, Tags=value)
            return
        await sqs.set_queue_attributes(QueueUrl=url, Attributes=_attributes(aspect, value))

    async def delete(self, standing: StandingResource) -> None:
        sqs = await self._place.client("sqs")
        await answered(sqs.delete_queue(QueueUrl=standing.outputs["url"]), *_GONE)

    async def _queue(self, sqs: Any, name: str, wanted: WantedResource | None) -> StandingResource | None:
        found = await answered(sqs.get_queue_url(QueueName=name), *_GONE)
        if found is None:
            return None
        url = found["QueueUrl"]
        answer = await answered(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]), *_GONE)
        tagged = await answered(sqs.list_queue_tags(QueueUrl=url), *_GONE)
        if answer is None or tagged is None:
            return None
        tags: Mapping[str, str] = tagged.get("Tags") or {}
        arn = arn_of("sqs", self._place.region, self._place.account_id, name)
        return StandingResource(
            kind=QUEUE, name=name, region=self._place.region, is_own=is_own(tags),
            state=_state(answer.get("Attributes") or {}) | {"tags": seen_tags(tags, wanted)},
            outputs={"arn": arn, "url": url},
        )  # fmt: skip


def _state(attributes: Mapping[str, str]) -> dict[str, Json]:
    kms_key = attributes.get("KmsMasterKeyId") or None
    redrive = json.loads(attributes.get("RedrivePolicy") or "{}")
    return {
        "encryption": {
            "kms_key": kms_key, "sqs_managed": kms_key is None and attributes.get("SqsManagedSseEnabled") == "true"
        },
        "retention_seconds": int(attributes["MessageRetentionPeriod"]),
        "dead_letters": (
            {"queue": redrive["deadLetterTargetArn"], "receives_max": int(redrive["maxReceiveCount"])}
            if redrive else None
        ),
        "policy": policy(attributes.get("Policy") or None),
    }  # fmt: skip


def _attributes(aspect: str, value: Json) -> dict[str, str]:
    """Return an aspect as SQS's attributes; an empty text removes one."""
    if aspect == "retention_seconds":
        return {"MessageRetentionPeriod": str(value)}
    if aspect == "policy":
        return {"Policy": json.dumps(value, separators=(",", ":")) if value else ""}
    assert value is None or isinstance(value, Mapping)
    if aspect == "dead_letters":
        redrive = {"deadLetterTargetArn": value["queue"], "maxReceiveCount": value["receives_max"]} if value else None
        return {"RedrivePolicy": json.dumps(redrive) if redrive else ""}
    assert value is not None, "a queue has an encryption"
    if value["kms_key"] is not None:
        return {"KmsMasterKeyId": str(value["kms_key"])}
    return {"KmsMasterKeyId": "", "SqsManagedSseEnabled": str(value["sqs_managed"]).lower()}
