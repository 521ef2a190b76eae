"""Internet gateways, by EC2. One is found by its attachment to the VPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.vpc import INTERNET_GATEWAY
from whence_aggregator.adapters.accounts.network_reads import Item, matched, put_tags, tagged, tags_of
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.routes import put_route, target_of
from whence_aggregator.adapters.accounts.vpcs import main_table, vpc_ids_for
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_EVERYWHERE = "0.0.0.0/0"
_MAIN_ROUTE = "main_table_route"


class InternetGatewayProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        ec2 = await self._place.client("ec2")
        vpc_ids = await vpc_ids_for(ec2, wanted)
        gateways = await whole_list(ec2, "describe_internet_gateways", "InternetGateways")
        tables = {name: await main_table(ec2, vpc_id) for name, vpc_id in vpc_ids.items()}
        found = matched(
            wanted, gateways, lambda one, item: _vpc_of(item) is not None and _vpc_of(item) == vpc_ids.get(one.name)
        )
        return [self._standing(*one, tables.get(one[0])) for one in found]

    async def find(self) -> Sequence[StandingResource]:
        ec2 = await self._place.client("ec2")
        gateways = await whole_list(ec2, "describe_internet_gateways", "InternetGateways")
        tables = {vpc_id: await main_table(ec2, vpc_id) for one in gateways if (vpc_id := _vpc_of(one))}
        asked = WantedResource(kind=INTERNET_GATEWAY, name="", state={_MAIN_ROUTE: True})
        return [
            self._standing(one["InternetGatewayId"], asked, one, tables.get(_vpc_of(one) or "")) for one in gateways
        ]

    def _standing(
        self, name: str, wanted: WantedResource | None, gateway: Item, table: Item | None
    ) -> StandingResource:
        identity = gateway["InternetGatewayId"]
        state: dict[str, Json] = {"tags": seen_tags(tags_of(gateway), wanted), "vpc": _vpc_of(gateway)}
        if wanted is not None and _MAIN_ROUTE in wanted.state:
            target = target_of(table, _EVERYWHERE) if table is not None else None
            state[_MAIN_ROUTE] = True if target == identity else target
        return StandingResource(
            kind=INTERNET_GATEWAY, name=name, region=self._place.region, state=state, is_own=is_own(tags_of(gateway)),
            outputs={"id": identity},
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> StandingResource:
        ec2 = await self._place.client("ec2")
        tags = tagged("internet-gateway", wanted.state["tags"])
        answer = await ec2.create_internet_gateway(TagSpecifications=tags)
        return self._standing(wanted.name, wanted, answer["InternetGateway"], None)

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        ec2 = await self._place.client("ec2")
        identity, attached = standing.outputs["id"], standing.state["vpc"]
        if aspect == "tags":
            await put_tags(ec2, identity, value)
        elif aspect == "vpc":
            if attached is not None:
                await ec2.detach_internet_gateway(InternetGatewayId=identity, VpcId=attached)
            await ec2.attach_internet_gateway(InternetGatewayId=identity, VpcId=value)
        else:
            await self._put_route(ec2, identity)

    async def _put_route(self, ec2: Any, identity: Json) -> None:
        gateways = await whole_list(ec2, "describe_internet_gateways", "InternetGateways")
        vpc_id = next((_vpc_of(one) for one in gateways if one["InternetGatewayId"] == identity), None)
        table = await main_table(ec2, vpc_id) if vpc_id is not None else None
        if table is not None:
            await put_route(ec2, table["RouteTableId"], _EVERYWHERE, target_of(table, _EVERYWHERE), identity)

    async def delete(self, standing: StandingResource) -> None:
        ec2 = await self._place.client("ec2")
        identity, attached = standing.outputs["id"], standing.state["vpc"]
        if attached is not None:
            await ec2.detach_internet_gateway(InternetGatewayId=identity, VpcId=attached)
        await ec2.delete_internet_gateway(InternetGatewayId=identity)


def _vpc_of(gateway: Item) -> str | None:
    return next((str(one["VpcId"]) for one in gateway.get("Attachments", []) if one.get("VpcId")), None)
