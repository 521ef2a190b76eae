"""VPCs, by EC2. A VPC is found by its network."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.vpc import VPC
from whence_aggregator.adapters.accounts.network_reads import (
    Item,
    find_vpc,
    put_tags,
    tagged,
    tags_of,
    vpc_of_network,
)  # fmt: skip
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_ATTRIBUTES = {"dns_support": "EnableDnsSupport", "dns_hostnames": "EnableDnsHostnames"}


class VpcProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        ec2 = await self._place.client("ec2")
        vpcs = await whole_list(ec2, "describe_vpcs", "Vpcs")
        found = {one.name: (one, vpc) for one in wanted if (vpc := vpc_of_network(vpcs, one.name)) is not None}
        ours = [one for one in vpcs if is_own(tags_of(one)) and not one["IsDefault"]]
        left = [(None, one) for one in ours if all(vpc is not one for _, vpc in found.values())]
        return await asyncio.gather(*(self._standing(ec2, *one) for one in [*found.values(), *left]))

    async def find(self) -> Sequence[StandingResource]:
        """Return all VPCs, also AWS's default one: a configuration can state what an owner made in it."""
        ec2 = await self._place.client("ec2")
        vpcs = await whole_list(ec2, "describe_vpcs", "Vpcs")
        return await asyncio.gather(*(self._found(ec2, one) for one in vpcs))

    async def _found(self, ec2: Any, vpc: Item) -> StandingResource:
        asked = WantedResource(kind=VPC, name=vpc["CidrBlock"], state=dict.fromkeys(_ATTRIBUTES))
        standing = await self._standing(ec2, asked, vpc)
        more = {"is_default": vpc["IsDefault"], "further_networks": _further_networks(vpc)}
        return replace(standing, state={**standing.state, **more})

    async def _standing(self, ec2: Any, wanted: WantedResource | None, vpc: Item) -> StandingResource:
        state: dict[str, Json] = {"tags": seen_tags(tags_of(vpc), wanted)}
        outputs: dict[str, Json] = {"id": vpc["VpcId"]}
        if wanted is not None:
            for aspect in _ATTRIBUTES.keys() & wanted.state.keys():
                state[aspect] = await self._attribute(ec2, vpc["VpcId"], _ATTRIBUTES[aspect])
            table = await main_table(ec2, vpc["VpcId"])
            outputs["main_route_table"] = str(table["RouteTableId"]) if table is not None else ""
        return StandingResource(
            kind=VPC, name=vpc["CidrBlock"] if wanted is not None else f"{vpc['CidrBlock']}@{vpc['VpcId']}",
            region=self._place.region, state=state, is_own=is_own(tags_of(vpc)), outputs=outputs,
        )  # fmt: skip

    async def _attribute(self, ec2: Any, vpc_id: str, name: str) -> bool:
        answer = await ec2.describe_vpc_attribute(VpcId=vpc_id, Attribute=name[0].lower() + name[1:])
        return bool(answer[name]["Value"])

    async def create(self, wanted: WantedResource) -> None:
        ec2 = await self._place.client("ec2")
        await ec2.create_vpc(CidrBlock=wanted.name, TagSpecifications=tagged("vpc", wanted.state["tags"]))

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        ec2 = await self._place.client("ec2")
        if aspect == "tags":
            await put_tags(ec2, standing.outputs["id"], value)
        else:
            await ec2.modify_vpc_attribute(VpcId=standing.outputs["id"], **{_ATTRIBUTES[aspect]: {"Value": value}})

    async def delete(self, standing: StandingResource) -> None:
        ec2 = await self._place.client("ec2")
        await ec2.delete_vpc(VpcId=standing.outputs["id"])


async def main_table(ec2: Any, vpc_id: str) -> Item | None:
    """Return the main route table of a VPC, from the list that other kinds need too."""
    tables = await whole_list(ec2, "describe_route_tables", "RouteTables")
    return next((one for one in tables if one["VpcId"] == vpc_id and _is_main(one)), None)


def _is_main(table: Item) -> bool:
    return any(one.get("Main") for one in table["Associations"])


def _further_networks(vpc: Item) -> list[Json]:
    """Return the networks of a VPC besides the one that it is found by."""
    named = [
        *(one["CidrBlock"] for one in vpc.get("CidrBlockAssociationSet") or []),
        *(one["Ipv6CidrBlock"] for one in vpc.get("Ipv6CidrBlockAssociationSet") or []),
    ]
    return sorted(set(named) - {vpc["CidrBlock"], ""})


async def vpc_ids_for(ec2: Any, wanted: Sequence[WantedResource]) -> dict[str, str]:
    """Return the ids of the VPCs that the aspect `vpc` of resources means, by the resource's name, where they exist.

    VPCs are listed only where one is meant by its network: an id is taken as it is.
    """
    stated = {one.name: one.state["vpc"] for one in wanted if one.state.get("vpc") is not None}
    if all(isinstance(value, str) for value in stated.values()):
        return {name: str(value) for name, value in stated.items()}
    vpcs = await whole_list(ec2, "describe_vpcs", "Vpcs")
    found = {name: find_vpc(vpcs, value) for name, value in stated.items()}
    return {name: str(one["VpcId"]) for name, one in found.items() if one is not None}
