"""NAT gateways and elastic addresses, by EC2. A gateway is found by its subnet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whence_aggregator.accounts.resources import (
    NAME_TAG,
    Json,
    StandingResource,
    WantedResource,
    is_own,
    own_tags,
    seen_tags,
)
from whence_aggregator.accounts.steps.nat import ELASTIC_ADDRESS, NAT_GATEWAY
from whence_aggregator.adapters.accounts.network_reads import Item, matched, put_tags, tagged, tags_of
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.subnets import is_one, subnets_meant
from whence_aggregator.adapters.accounts.vpcs import vpc_ids_for
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_LIVING = {"Name": "state", "Values": ["pending", "available"]}


class ElasticAddressProvider:
    """Addresses of ours that nothing uses. Those in use belong to their gateways."""

    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        ec2 = await self._place.client("ec2")
        return [
            StandingResource(
                kind=ELASTIC_ADDRESS, name=one["PublicIp"], region=self._place.region, is_own=True,
                state={"zone": tags_of(one).get(NAME_TAG)}, outputs={"id": one["AllocationId"]},
            )
            for one in await _free_addresses(ec2)
        ]  # fmt: skip

    async def create(self, wanted: WantedResource) -> None:
        raise AssertionError("an address is created with its gateway")

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        raise AssertionError("nothing of an address is configured")

    async def delete(self, standing: StandingResource) -> None:
        ec2 = await self._place.client("ec2")
        await ec2.release_address(AllocationId=standing.outputs["id"])


class NatGatewayProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        ec2 = await self._place.client("ec2")
        vpc_ids = await vpc_ids_for(ec2, wanted)
        meant = await subnets_meant(ec2, vpc_ids.values(), [one.state.get("subnet") for one in wanted])
        gateways = await whole_list(ec2, "describe_nat_gateways", "NatGateways", Filter=[_LIVING])
        found = matched(wanted, gateways, lambda one, item: is_one(one.state.get("subnet"), item["SubnetId"], meant))
        return [self._standing(*one) for one in found]

    async def find(self) -> Sequence[StandingResource]:
        """Return all gateways that are not gone, named by their ids."""
        ec2 = await self._place.client("ec2")
        gateways = await whole_list(ec2, "describe_nat_gateways", "NatGateways", Filter=[_LIVING])
        return [self._standing(one["NatGatewayId"], None, one) for one in gateways]

    def _standing(self, name: str, wanted: WantedResource | None, gateway: Item) -> StandingResource:
        identity = gateway["NatGatewayId"]
        usable = {"id": identity} if gateway["State"] == "available" else {}
        return StandingResource(
            kind=NAT_GATEWAY, name=name, region=self._place.region, is_own=is_own(tags_of(gateway)),
            state={
                "tags": seen_tags(tags_of(gateway), wanted), "vpc": gateway["VpcId"], "subnet": gateway["SubnetId"],
            },
            outputs={"nat_gateway": identity, **usable},
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> StandingResource:
        """Create a gateway with an address: one of ours that an earlier apply left behind, or a new one."""
        ec2 = await self._place.client("ec2")
        free = await _free_addresses(ec2)
        address = next((one for one in free if tags_of(one).get(NAME_TAG) == wanted.name), None)
        if address is None:
            tags = own_tags(wanted.name, {"Name": f"NAT {wanted.name}"})
            address = await ec2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip", tags))
        answer = await ec2.create_nat_gateway(
            SubnetId=wanted.state["subnet"], AllocationId=address["AllocationId"],
            TagSpecifications=tagged("natgateway", wanted.state["tags"]),
        )  # fmt: skip
        return self._standing(wanted.name, wanted, answer["NatGateway"])

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        await put_tags(await self._place.client("ec2"), standing.outputs["nat_gateway"], value)

    async def delete(self, standing: StandingResource) -> None:
        """Delete a gateway. AWS frees its address a little later; the next plan lists it."""
        ec2 = await self._place.client("ec2")
        await ec2.delete_nat_gateway(NatGatewayId=standing.outputs["nat_gateway"])


async def _free_addresses(ec2: Any) -> list[Item]:
    """Return addresses of ours that are not in use. AWS returns all addresses of a region in one answer."""
    addresses = (await ec2.describe_addresses())["Addresses"]
    return [
        one for one in addresses
        if is_own(tags_of(one)) and not one.get("AssociationId") and not one.get("NetworkInterfaceId")
    ]  # fmt: skip
