"""Topics, by SNS."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.arns import arn_of
from whence_aggregator.accounts.canonical import policy
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.trail_events import TOPIC
from whence_aggregator.adapters.accounts.answers import answered, tag_list, tags_of
from whence_aggregator.adapters.accounts.calls import gathered, own_arns
from whence_aggregator.adapters.accounts.place import AwsPlace

_ATTRIBUTES = {"kms_key": "KmsMasterKeyId", "policy": "Policy"}


class TopicProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        by_arn = {self._arn(one.name): one for one in wanted}
        arns = sorted({*by_arn, *(await own_arns(self._place, "sns"))})
        sns = await self._place.client("sns")
        found = await gathered(self._topic(sns, arn, by_arn.get(arn)) for arn in arns)
        return [one for one in found if one is not None]

    async def find(self) -> Sequence[StandingResource]:
        """Return topics of our own. The configuration states no others: it states their policies whole."""
        return await self.read(())

    async def create(self, wanted: WantedResource) -> None:
        sns = await self._place.client("sns")
        attributes = {
            name: _text(wanted.state.get(aspect)) for aspect, name in _ATTRIBUTES.items() if wanted.state.get(aspect)
        }
        await sns.create_topic(Name=wanted.name, Attributes=attributes, Tags=_tags(wanted.state["tags"]))

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        sns, arn = await self._place.client("sns"), self._arn(standing.name)
        if aspect == "tags":
            await sns.tag_resource(ResourceArn=arn, Tags=_tags(value))
            return
        await sns.set_topic_attributes(TopicArn=arn, AttributeName=_ATTRIBUTES[aspect], AttributeValue=_text(value))

    async def delete(self, standing: StandingResource) -> None:
        sns = await self._place.client("sns")
        await sns.delete_topic(TopicArn=self._arn(standing.name))  # SNS accepts a topic that is gone

    def _arn(self, name: str) -> str:
        return arn_of("sns", self._place.region, self._place.account_id, name)

    async def _topic(self, sns: Any, arn: str, wanted: WantedResource | None) -> StandingResource | None:
        answer = await answered(sns.get_topic_attributes(TopicArn=arn), "NotFound", "NotFoundException")
        tagged = await answered(sns.list_tags_for_resource(ResourceArn=arn), "ResourceNotFound", "NotFound")
        if answer is None or tagged is None:
            return None
        attributes, tags = answer["Attributes"], tags_of(tagged["Tags"])
        return StandingResource(
            kind=TOPIC, name=arn.rpartition(":")[2], region=self._place.region, is_own=is_own(tags),
            state={
                "kms_key": attributes.get("KmsMasterKeyId") or None,
                "policy": policy(attributes.get("Policy")),
                "tags": seen_tags(tags, wanted),
            },
            outputs={"arn": arn},
        )  # fmt: skip


def _text(value: Json) -> str:
    """Return the value of an attribute; empty to remove it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _tags(value: Json) -> list[dict[str, str]]:
    assert isinstance(value, Mapping)
    return tag_list(value)
