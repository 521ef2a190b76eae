"""Route tables, by EC2. A table is found by its tag Name, which is that of its subnet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.vpc import ROUTE, ROUTE_TABLE
from whence_aggregator.adapters.accounts.network_reads import (
    Item,
    matched,
    put_tags,
    tagged,
    tags_of,
)  # fmt: skip
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.routes import destination_of, other_routes, put_route, target_of
from whence_aggregator.adapters.accounts.subnets import is_one, subnets_meant
from whence_aggregator.adapters.accounts.vpcs import vpc_ids_for
from whence_aggregator.adapters.accounts.whole_lists import whole_list


class RouteTableProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        ec2 = await self._place.client("ec2")
        vpc_ids = await vpc_ids_for(ec2, wanted)
        tables = await whole_list(ec2, "describe_route_tables", "RouteTables")
        found = matched(
            wanted, tables,
            lambda one, item: item["VpcId"] == vpc_ids.get(one.name) and tags_of(item).get("Name") == one.name,
        )  # fmt: skip
        subnets = await subnets_meant(ec2, vpc_ids.values(), [one.state.get("subnet") for one in wanted])
        return [self._standing(*one, subnets) for one in found]

    async def find(self) -> Sequence[StandingResource]:
        """Return all route tables, named by their ids, with all subnets and routes."""
        tables = await whole_list(await self._place.client("ec2"), "describe_route_tables", "RouteTables")
        return [
            StandingResource(
                kind=ROUTE_TABLE, name=one["RouteTableId"], region=self._place.region, is_own=is_own(tags_of(one)),
                state={
                    "tags": seen_tags(tags_of(one), None), "vpc": one["VpcId"],
                    "is_main": any(each.get("Main") for each in one["Associations"]),
                    "subnets": sorted(each["SubnetId"] for each in one["Associations"] if each.get("SubnetId")),
                    "routes": {destination_of(each): target_of(one, destination_of(each)) for each in one["Routes"]},
                },
                outputs={"id": one["RouteTableId"]},
            )
            for one in tables
        ]  # fmt: skip

    def _standing(
        self, name: str, wanted: WantedResource | None, table: Item, meant: Sequence[Item]
    ) -> StandingResource:
        stated = wanted.state if wanted is not None else {}
        associated = [one["SubnetId"] for one in table["Associations"] if one.get("SubnetId")]
        subnet = next((one for one in associated if is_one(stated.get("subnet"), one, meant)), None)
        routes = {one.removeprefix(ROUTE) for one in stated if one.startswith(ROUTE)}
        others = [f"association of {one}" for one in sorted(associated) if one != subnet]
        return StandingResource(
            kind=ROUTE_TABLE, name=name, region=self._place.region, is_own=is_own(tags_of(table)),
            state={
                "tags": seen_tags(tags_of(table), wanted), "vpc": table["VpcId"], "subnet": subnet,
                **{f"{ROUTE}{one}": target_of(table, one) for one in sorted(routes)},
            },
            outputs={"id": table["RouteTableId"]},
            foreign=(*other_routes(table, routes), *others) if wanted is not None else (),
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> StandingResource:
        ec2 = await self._place.client("ec2")
        answer = await ec2.create_route_table(
            VpcId=wanted.state["vpc"], TagSpecifications=tagged("route-table", wanted.state["tags"])
        )
        return self._standing(wanted.name, wanted, answer["RouteTable"], [])

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        ec2 = await self._place.client("ec2")
        identity = standing.outputs["id"]
        if aspect == "tags":
            await put_tags(ec2, identity, value)
        elif aspect.startswith(ROUTE):
            await put_route(ec2, identity, aspect.removeprefix(ROUTE), standing.state.get(aspect), value)
        else:
            await self._associate(ec2, identity, value)

    async def _associate(self, ec2: Any, table_id: Json, subnet_id: Json) -> None:
        filters = [{"Name": "association.subnet-id", "Values": [subnet_id]}]
        tables = await whole_list(ec2, "describe_route_tables", "RouteTables", Filters=filters)
        found = [
            one for table in tables for one in table["Associations"] if one.get("SubnetId") == subnet_id
        ]  # fmt: skip
        if found:
            identity = found[0]["RouteTableAssociationId"]
            await ec2.replace_route_table_association(AssociationId=identity, RouteTableId=table_id)
        else:
            await ec2.associate_route_table(RouteTableId=table_id, SubnetId=subnet_id)

    async def delete(self, standing: StandingResource) -> None:
        """Delete a table. Its subnets use the VPC's main table from then on."""
        ec2 = await self._place.client("ec2")
        identity = standing.outputs["id"]
        tables = await whole_list(ec2, "describe_route_tables", "RouteTables", RouteTableIds=[identity])
        for one in (each for table in tables for each in table["Associations"] if not each.get("Main")):
            await ec2.disassociate_route_table(AssociationId=one["RouteTableAssociationId"])
        await ec2.delete_route_table(RouteTableId=identity)
