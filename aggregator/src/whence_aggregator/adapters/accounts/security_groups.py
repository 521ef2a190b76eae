"""Security groups and their rules, by EC2. A group is found by its name in its VPC, a rule by what it allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.ingress import IngressRule, flattened, grouped, in_words, rule
from whence_aggregator.accounts.resources import (
    OWN_TAG,
    OWN_VALUE,
    Json,
    StandingResource,
    WantedResource,
    is_own,
    seen_tags,
)
from whence_aggregator.accounts.steps.security_groups import SECURITY_GROUP
from whence_aggregator.adapters.accounts.network_reads import (
    Item,
    matched,
    name_in,
    put_tags,
    tag_list,
    tagged,
    tags_of,
)  # fmt: skip
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.prefix_lists import own_prefix_lists
from whence_aggregator.adapters.accounts.vpcs import vpc_ids_for
from whence_aggregator.adapters.accounts.whole_lists import whole_list


class SecurityGroupProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        ec2 = await self._place.client("ec2")
        vpc_ids = await vpc_ids_for(ec2, wanted)
        groups = await whole_list(ec2, "describe_security_groups", "SecurityGroups")
        is_it: Callable[[WantedResource, Item], bool] = lambda one, item: (  # noqa: E731
            (item["VpcId"], item["GroupName"]) == (vpc_ids.get(one.name), one.name)
        )
        found = list(matched(wanted, groups, is_it))
        if not found:
            return []
        rules = await whole_list(ec2, "describe_security_group_rules", "SecurityGroupRules")
        lists = await self._lists(ec2, wanted)
        return [
            self._standing(name, one, group, [each for each in rules if each["GroupId"] == group["GroupId"]], lists)
            for name, one, group in found
        ]

    async def find(self) -> Sequence[StandingResource]:
        """Return all groups by name, with all rules for what may connect. AWS makes the group `default` of a VPC."""
        ec2 = await self._place.client("ec2")
        groups = await whole_list(ec2, "describe_security_groups", "SecurityGroups")
        rules = await whole_list(ec2, "describe_security_group_rules", "SecurityGroupRules")
        made: dict[str, list[IngressRule]] = {one["GroupId"]: [] for one in groups}
        for item in rules:
            if item["GroupId"] in made and (one := _rule(item)) is not None:
                made[item["GroupId"]].append(one)
        return [
            StandingResource(
                kind=SECURITY_GROUP, name=one["GroupName"], region=self._place.region, is_own=is_own(tags_of(one)),
                state={
                    "tags": seen_tags(tags_of(one), None), "vpc": one["VpcId"], "description": one["Description"],
                    "ingress": grouped(made[one["GroupId"]]),
                },
                outputs={"id": one["GroupId"]},
            )
            for one in groups if one["GroupName"] != "default" and one.get("VpcId")
        ]  # fmt: skip

    async def _lists(self, ec2: Any, wanted: Sequence[WantedResource]) -> dict[str, str]:
        """Return the ids of the prefix lists that rules refer to, by name."""
        if not any(name_in(one.source) for each in wanted for one in flattened(each.state.get("ingress"))):
            return {}
        lists = await own_prefix_lists(ec2, self._place.account_id)
        return {one["PrefixListName"]: one["PrefixListId"] for one in lists}

    def _standing(
        self, name: str, wanted: WantedResource | None, group: Item, rules: Sequence[Item], lists: Mapping[str, str]
    ) -> StandingResource:
        stated = {_meant(one, lists).key for one in flattened(wanted.state.get("ingress"))} if wanted else set()
        ingress = [(one, is_own(tags_of(item))) for item in rules if (one := _rule(item)) is not None]
        return StandingResource(
            kind=SECURITY_GROUP, name=name, region=self._place.region, is_own=is_own(tags_of(group)),
            state={
                "tags": seen_tags(tags_of(group), wanted), "vpc": group["VpcId"], "description": group["Description"],
                "ingress": grouped(one for one, is_ours in ingress if is_ours or one.key in stated),
            },
            outputs={"id": group["GroupId"]},
            foreign=tuple(
                f"rule {in_words(one)}" for one, is_ours in ingress if not is_ours and one.key not in stated
            ) if wanted is not None else (),
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> StandingResource:
        ec2 = await self._place.client("ec2")
        state = wanted.state
        answer = await ec2.create_security_group(
            GroupName=wanted.name, Description=state["description"], VpcId=state["vpc"],
            TagSpecifications=tagged("security-group", state["tags"]),
        )  # fmt: skip
        about = {"Description": state["description"], "VpcId": state["vpc"], "Tags": tag_list(state["tags"])}
        return self._standing(wanted.name, wanted, {**answer, **about}, [], {})

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        ec2 = await self._place.client("ec2")
        if aspect == "tags":
            await put_tags(ec2, standing.outputs["id"], value)
        else:
            await self._put_ingress(ec2, standing.outputs["id"], flattened(value))

    async def _put_ingress(self, ec2: Any, group_id: Json, wanted: Sequence[IngressRule]) -> None:
        """Add what is missing, then remove rules of ours that are not stated: nothing is cut off in between."""
        filters = [{"Name": "group-id", "Values": [group_id]}]
        rules = await whole_list(ec2, "describe_security_group_rules", "SecurityGroupRules", Filters=filters)
        standing = [(one, item) for item in rules if (one := _rule(item)) is not None]
        present, stated = {one.key for one, _ in standing}, {one.key for one in wanted}
        missing = [one for one in wanted if one.key not in present]
        if missing:
            await ec2.authorize_security_group_ingress(
                GroupId=group_id, IpPermissions=[_permission(one) for one in missing],
                TagSpecifications=tagged("security-group-rule", {OWN_TAG: OWN_VALUE}),
            )  # fmt: skip
        left = [
            item["SecurityGroupRuleId"] for one, item in standing if one.key not in stated and is_own(tags_of(item))
        ]  # fmt: skip
        if left:
            await ec2.revoke_security_group_ingress(GroupId=group_id, SecurityGroupRuleIds=left)

    async def delete(self, standing: StandingResource) -> None:
        ec2 = await self._place.client("ec2")
        await ec2.delete_security_group(GroupId=standing.outputs["id"])


def _rule(item: Item) -> IngressRule | None:
    """Return a rule for what may connect; None for one for the other direction."""
    if item["IsEgress"]:
        return None
    group = item.get("ReferencedGroupInfo") or {}
    source = item.get("CidrIpv4") or item.get("CidrIpv6") or item.get("PrefixListId") or group.get("GroupId")
    return rule(item["IpProtocol"], item.get("FromPort"), item.get("ToPort"), source)


def _meant(one: IngressRule, lists: Mapping[str, str]) -> IngressRule:
    name = name_in(one.source)
    return one if name is None else one._replace(source=lists.get(name))


def _permission(one: IngressRule) -> dict[str, Any]:
    ports = {"FromPort": one.from_port, "ToPort": one.to_port} if one.from_port is not None else {}
    if not one.is_network:
        return {"IpProtocol": one.protocol, **ports, "PrefixListIds": [{"PrefixListId": one.source}]}
    if ":" in str(one.source):
        return {"IpProtocol": one.protocol, **ports, "Ipv6Ranges": [{"CidrIpv6": one.source}]}
    return {"IpProtocol": one.protocol, **ports, "IpRanges": [{"CidrIp": one.source}]}
