"""Subnets, by EC2. A subnet is found by its network in its VPC."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from whence_aggregator.accounts.resources import NAME_TAG, Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.vpc import SUBNET
from whence_aggregator.adapters.accounts.network_reads import (
    Item,
    ids_or_names,
    matched,
    name_in,
    put_tags,
    tagged,
    tags_of,
)
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.vpcs import vpc_ids_for
from whence_aggregator.adapters.accounts.whole_lists import whole_list


class SubnetProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        ec2 = await self._place.client("ec2")
        vpc_ids = await vpc_ids_for(ec2, wanted)
        subnets = await whole_list(ec2, "describe_subnets", "Subnets")
        found = matched(
            wanted, subnets,
            lambda one, item: (item["VpcId"], item["CidrBlock"]) == (vpc_ids.get(one.name), one.state.get("cidr")),
        )  # fmt: skip
        return [self._standing(*one) for one in found]

    async def find(self) -> Sequence[StandingResource]:
        """Return all subnets, named by their ids."""
        subnets = await whole_list(await self._place.client("ec2"), "describe_subnets", "Subnets")
        return [self._standing(one["SubnetId"], None, one) for one in subnets]

    def _standing(self, name: str, wanted: WantedResource | None, subnet: Item) -> StandingResource:
        return StandingResource(
            kind=SUBNET, name=name, region=self._place.region, is_own=is_own(tags_of(subnet)),
            state={
                "tags": seen_tags(tags_of(subnet), wanted), "vpc": subnet["VpcId"], "cidr": subnet["CidrBlock"],
                "zone": subnet["AvailabilityZone"],
            },
            outputs={"id": subnet["SubnetId"]},
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> StandingResource:
        ec2 = await self._place.client("ec2")
        answer = await ec2.create_subnet(
            VpcId=wanted.state["vpc"], CidrBlock=wanted.state["cidr"], AvailabilityZone=wanted.state["zone"],
            TagSpecifications=tagged("subnet", wanted.state["tags"]),
        )  # fmt: skip
        return self._standing(wanted.name, wanted, answer["Subnet"])

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        await put_tags(await self._place.client("ec2"), standing.outputs["id"], value)

    async def delete(self, standing: StandingResource) -> None:
        ec2 = await self._place.client("ec2")
        await ec2.delete_subnet(SubnetId=standing.outputs["id"])


async def subnets_meant(ec2: Any, vpc_ids: Collection[str], values: Json) -> list[Item]:
    """Return the subnets that ids or references mean. References are looked up by name in these VPCs."""
    ids, names = ids_or_names(values)
    subnets = await whole_list(ec2, "describe_subnets", "Subnets") if ids or names else []
    return [
        one for one in subnets if one["SubnetId"] in ids
        or (one["VpcId"] in vpc_ids and names & _names(one))
    ]  # fmt: skip


def is_one(value: Json, subnet_id: str, meant: Sequence[Item]) -> bool:
    """Return whether an id, or a reference among those that were looked up, means this subnet."""
    name = name_in(value)
    if name is None:
        return value == subnet_id
    return any(one["SubnetId"] == subnet_id and name in _names(one) for one in meant)


def _names(subnet: Item) -> set[str]:
    tags = tags_of(subnet)
    return {tags[name] for name in (NAME_TAG, "Name") if name in tags}
