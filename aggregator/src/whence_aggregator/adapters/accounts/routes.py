"""Routes of a route table, by EC2: each is created or replaced alone."""

from __future__ import annotations

from typing import Any

from whence_aggregator.accounts.resources import Json
from whence_aggregator.adapters.accounts.network_reads import Item

_TARGETS = (
    "NatGatewayId", "GatewayId", "TransitGatewayId", "VpcPeeringConnectionId", "InstanceId", "NetworkInterfaceId",
    "EgressOnlyInternetGatewayId", "LocalGatewayId", "CarrierGatewayId", "CoreNetworkArn",
)  # fmt: skip
_PARAMETERS = {"nat-": "NatGatewayId", "igw-": "GatewayId"}


def target_of(table: Item, destination: str) -> str | None:
    """Return the id of what a destination is routed to; `blackhole` where that is gone, None for no route."""
    for route in table["Routes"]:
        if destination_of(route) == destination:
            return "blackhole" if route.get("State") == "blackhole" else _target(route)
    return None


def destination_of(route: Item) -> str:
    return str(
        route.get("DestinationCidrBlock") or route.get("DestinationIpv6CidrBlock") or route["DestinationPrefixListId"]
    )


def other_routes(table: Item, destinations: set[str]) -> list[str]:
    """Return the routes of others in words. Those of AWS, of endpoints and of propagation, are left out."""
    return [
        f"route {destination_of(one)} to {_target(one)}" for one in table["Routes"]
        if one.get("Origin") == "CreateRoute" and destination_of(one) not in destinations
        and not str(one.get("GatewayId", "")).startswith(("vpce-", "local"))
    ]  # fmt: skip


async def put_route(ec2: Any, table_id: Json, destination: str, standing: Json, target: Json) -> None:
    """Create a route, or replace the one that stands. Only IPv4 destinations are written."""
    parameter = next(name for prefix, name in _PARAMETERS.items() if str(target).startswith(prefix))
    write = ec2.create_route if standing is None else ec2.replace_route
    await write(RouteTableId=table_id, DestinationCidrBlock=destination, **{parameter: target})


def _target(route: Item) -> str:
    return next((str(route[name]) for name in _TARGETS if route.get(name)), "nothing")
