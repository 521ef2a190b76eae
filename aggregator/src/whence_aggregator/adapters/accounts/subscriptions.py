"""Subscriptions of queues to topics, by SNS. They have no tags: those of our own topic and queue are our own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.arns import arn_of
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource
from whence_aggregator.accounts.steps.trail_events import SUBSCRIPTION
from whence_aggregator.adapters.accounts.answers import answered
from whence_aggregator.adapters.accounts.calls import gathered, own_arns
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_GONE = ("NotFound", "NotFoundException")
_Listed = Mapping[str, str]


class SubscriptionProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        own = await own_arns(self._place, "sns", "sqs")
        names = {one.name for one in wanted}
        topics = {self._arn("sns", name.partition("/")[0]) for name in names}
        topics |= {one for one in own if one.split(":")[2] == "sns"}
        sns = await self._place.client("sns")
        each = await gathered(self._of_topic(sns, topic, names, own) for topic in sorted(topics))
        return [one for found in each for one in found]

    async def find(self) -> Sequence[StandingResource]:
        """Return subscriptions of our own. The configuration states no others: it states their policies whole."""
        return await self.read(())

    async def create(self, wanted: WantedResource) -> None:
        sns = await self._place.client("sns")
        raw, chosen = wanted.state.get("raw_message_delivery"), wanted.state.get("filter_policy")
        attributes = {
            **({"RawMessageDelivery": "true"} if raw else {}),
            **({"FilterPolicy": json.dumps(chosen)} if chosen else {}),
        }
        await sns.subscribe(
            TopicArn=wanted.state["topic"], Protocol="sqs", Endpoint=wanted.state["queue"], Attributes=attributes
        )

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        sns = await self._place.client("sns")
        name = {"raw_message_delivery": "RawMessageDelivery", "filter_policy": "FilterPolicy"}[aspect]
        text = json.dumps(value if value is not None else {})  # an empty policy removes the filter
        await sns.set_subscription_attributes(
            SubscriptionArn=standing.outputs["arn"], AttributeName=name, AttributeValue=text
        )

    async def delete(self, standing: StandingResource) -> None:
        sns = await self._place.client("sns")
        await answered(sns.unsubscribe(SubscriptionArn=standing.outputs["arn"]), *_GONE)

    def _arn(self, service: str, name: str) -> str:
        return arn_of(service, self._place.region, self._place.account_id, name)

    async def _of_topic(self, sns: Any, topic: str, names: set[str], own: frozenset[str]) -> Sequence[StandingResource]:
        """Return the subscriptions of one topic that are wanted or our own."""
        ours: dict[str, _Listed] = {}
        others: list[str] = []
        for one in await self._listed(sns, topic):
            name = f"{topic.rpartition(':')[2]}/{one['Endpoint'].rpartition(':')[2]}"
            is_here = one["Protocol"] == "sqs" and one["Endpoint"] == self._arn("sqs", name.partition("/")[2])
            if is_here and (name in names or {topic, one["Endpoint"]} <= own):
                ours[name] = one
            else:  # endpoints of others may contain secrets, and are not shown
                others.append(f"{one['Protocol']} subscription {one['SubscriptionArn'].rpartition(':')[2]}")
        found = await gathered(self._standing(sns, name, one, own, sorted(others)) for name, one in ours.items())
        return [one for one in found if one is not None]

    async def _listed(self, sns: Any, topic: str) -> Sequence[_Listed]:
        async def pages() -> Mapping[str, Sequence[_Listed]]:
            return {topic: await whole_list(sns, "list_subscriptions_by_topic", "Subscriptions", TopicArn=topic)}

        found: Sequence[_Listed] = (await answered(pages(), *_GONE) or {topic: ()})[topic]
        return found

    async def _standing(
        self, sns: Any, name: str, listed: _Listed, own: frozenset[str], others: Sequence[str]
    ) -> StandingResource | None:
        arn = listed["SubscriptionArn"]
        answer = await answered(sns.get_subscription_attributes(SubscriptionArn=arn), *_GONE)
        if answer is None:
            return None
        attributes = answer["Attributes"]
        return StandingResource(
            kind=SUBSCRIPTION, name=name, region=self._place.region,
            is_own={listed["TopicArn"], listed["Endpoint"]} <= own,
            state={
                "topic": listed["TopicArn"],
                "queue": listed["Endpoint"],
                "raw_message_delivery": attributes.get("RawMessageDelivery") == "true",
                "filter_policy": json.loads(attributes.get("FilterPolicy") or "{}") or None,
            },
            outputs={"arn": arn}, foreign=tuple(others),
        )  # fmt: skip
