"""Endpoints of VPCs, by EC2. An endpoint is found by its service in its VPC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from whence_aggregator.accounts.resources import NAME_TAG, Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.vpc_endpoints import VPC_ENDPOINT
from whence_aggregator.adapters.accounts.network_reads import (
    Item,
    matched,
    name_in,
    put_tags,
    tagged,
    tags_of,
)  # fmt: skip
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.vpcs import vpc_ids_for
from whence_aggregator.adapters.accounts.whole_lists import whole_list
from whence_common.errors import RoadError

_LIVING = ("pendingacceptance", "pending", "available", "partial")
_LISTS = {"route_tables": "RouteTableIds", "subnets": "SubnetIds", "groups": "SecurityGroupIds"}
"""Parameter of an aspect that is a set of ids: `Add` or `Remove` before it changes the set."""


class VpcEndpointProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        ec2 = await self._place.client("ec2")
        vpc_ids = await vpc_ids_for(ec2, wanted)
        endpoints = await whole_list(ec2, "describe_vpc_endpoints", "VpcEndpoints")
        living = [one for one in endpoints if one["State"].lower() in _LIVING]
        found = list(
            matched(
                wanted, living,
                lambda one, item: (
                    (item["VpcId"], item["ServiceName"]) == (vpc_ids.get(one.name), one.state.get("service"))
                ),
            )
        )  # fmt: skip
        has_tables = any(one is not None and "route_tables" in one.state for _, one, _ in found)
        tables = await whole_list(ec2, "describe_route_tables", "RouteTables") if has_tables else []
        return [self._standing(*one, tables) for one in found]

    async def find(self) -> Sequence[StandingResource]:
        """Return all endpoints, named by their ids, with all their route tables."""
        ec2 = await self._place.client("ec2")
        endpoints = await whole_list(ec2, "describe_vpc_endpoints", "VpcEndpoints")
        found = [(self._standing(one["VpcEndpointId"], None, one, ()), one) for one in endpoints
                 if one["State"].lower() in _LIVING]  # fmt: skip
        return [
            replace(standing, state={**standing.state, "route_tables": sorted(one.get("RouteTableIds") or [])})
            for standing, one in found
        ]

    def _standing(
        self, name: str, wanted: WantedResource | None, endpoint: Item, tables: Sequence[Item]
    ) -> StandingResource:
        stated = wanted.state.get("route_tables") if wanted is not None else None
        meant = _meant(stated, [one for one in tables if one["VpcId"] == endpoint["VpcId"]])
        used = set(endpoint.get("RouteTableIds") or [])
        state: dict[str, Json] = {
            "tags": seen_tags(tags_of(endpoint), wanted), "vpc": endpoint["VpcId"],
            "service": endpoint["ServiceName"], "route_tables": sorted(used & meant),
            "subnets": sorted(endpoint.get("SubnetIds") or []),
            "groups": sorted(one["GroupId"] for one in endpoint.get("Groups") or []),
            "private_dns": endpoint.get("PrivateDnsEnabled"),
        }  # fmt: skip
        return StandingResource(
            kind=VPC_ENDPOINT, name=name, region=self._place.region, state=state, is_own=is_own(tags_of(endpoint)),
            outputs={"id": endpoint["VpcEndpointId"]},
            foreign=tuple(f"route table {one}" for one in sorted(used - meant)) if stated is not None else (),
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> StandingResource:
        ec2 = await self._place.client("ec2")
        state = wanted.state
        lists = {parameter: state[aspect] for aspect, parameter in _LISTS.items() if aspect in state}
        dns = {"PrivateDnsEnabled": state["private_dns"]} if "private_dns" in state else {}
        answer = await ec2.create_vpc_endpoint(
            VpcId=state["vpc"], ServiceName=state["service"], VpcEndpointType="Interface" if dns else "Gateway",
            TagSpecifications=tagged("vpc-endpoint", state["tags"]), **lists, **dns,
        )  # fmt: skip
        return self._standing(wanted.name, wanted, answer["VpcEndpoint"], [])

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        ec2 = await self._place.client("ec2")
        identity = standing.outputs["id"]
        if aspect == "tags":
            await put_tags(ec2, identity, value)
        elif aspect == "private_dns":
            await ec2.modify_vpc_endpoint(VpcEndpointId=identity, PrivateDnsEnabled=value)
        else:
            stands, stated = _ids(standing.state[aspect]), _ids(value)
            changes = {"Add": sorted(stated - stands), "Remove": sorted(stands - stated)}
            lists = {f"{word}{_LISTS[aspect]}": ids for word, ids in changes.items() if ids}
            await ec2.modify_vpc_endpoint(VpcEndpointId=identity, **lists)

    async def delete(self, standing: StandingResource) -> None:
        """Delete an endpoint. Raises RoadError for what AWS refuses within an answer of success."""
        ec2 = await self._place.client("ec2")
        answer = await ec2.delete_vpc_endpoints(VpcEndpointIds=[standing.outputs["id"]])
        for one in answer.get("Unsuccessful", []):
            reason = one.get("Error", {}).get("Message", "AWS names no reason")
            raise RoadError("vpc-endpoint-refused", f"AWS does not delete the endpoint: {reason}"[:1_500])


def _meant(stated: Json, tables: Sequence[Item]) -> set[str]:
    """Return the ids of the route tables that ids or references mean: tables by name, and a VPC's main table."""
    values = stated if isinstance(stated, Sequence) and not isinstance(stated, str) else ()
    names = {name for one in values if (name := name_in(one)) is not None}
    has_main = any(isinstance(one, Mapping) and one.get("output") == "main_route_table" for one in values)
    return {str(one) for one in values if isinstance(one, str)} | {
        one["RouteTableId"] for one in tables
        if names & {tags_of(one).get(NAME_TAG, ""), tags_of(one).get("Name", "")} - {""}
        or (has_main and any(each.get("Main") for each in one["Associations"]))
    }  # fmt: skip


def _ids(value: Json) -> set[str]:
    return {str(one) for one in value} if isinstance(value, Sequence) and not isinstance(value, str) else set()
