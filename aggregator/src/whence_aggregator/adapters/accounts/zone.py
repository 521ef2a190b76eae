"""The account's public hosted zone, with the TTL of its SOA record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, seen_tags
from whence_aggregator.accounts.steps.dns import DELEGATED_IN_TAG, ZONE, delegation_name
from whence_aggregator.adapters.accounts.delegation import parent_record
from whence_aggregator.adapters.accounts.hosted_zones import (
    MARK,
    HostedZone,
    change_record,
    name_servers_in,
    name_servers_of,
    public_zones,
    record_of,
    the_zone,
    values_of,
    zone_id_in,
)  # fmt: skip
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_common.errors import RoadError


class ZoneProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        route53 = await self._place.client("route53")
        zones = await public_zones(route53, with_tags=True)
        asked = {one.name: one for one in wanted}
        left = [one for one in zones if one.is_own and one.name not in asked]
        named = [the_zone(zones, name, self._place.account_id) for name in asked]
        own = [the_zone(left, name, self._place.account_id) for name in sorted({one.name for one in left})]
        return [await self._standing(route53, one, asked.get(one.name)) for one in (*named, *own) if one is not None]

    async def find(self) -> Sequence[StandingResource]:
        route53 = await self._place.client("route53")
        zones = await public_zones(route53, with_tags=True)
        return [await self._standing(route53, one, None) for one in zones]

    async def create(self, wanted: WantedResource) -> StandingResource:
        route53 = await self._place.client("route53")
        answer = await route53.create_hosted_zone(
            Name=f"{wanted.name}.", CallerReference=uuid4().hex,
            HostedZoneConfig={"Comment": MARK, "PrivateZone": False},
        )  # fmt: skip
        return StandingResource(
            kind=ZONE, name=wanted.name, is_own=True, state={"tags": {}, "soa_ttl": None},
            outputs={"id": zone_id_in(answer["HostedZone"]), "name_servers": name_servers_in(answer)},
        )  # fmt: skip

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        route53 = await self._place.client("route53")
        zone_id = str(standing.outputs["id"])
        if aspect == "tags" and isinstance(value, Mapping):
            tags = [{"Key": name, "Value": one} for name, one in value.items()]
            await route53.change_tags_for_resource(ResourceType="hostedzone", ResourceId=zone_id, AddTags=tags)
        elif aspect == "soa_ttl":
            record = await record_of(route53, zone_id, standing.name, "SOA")
            if record is None:
                raise RoadError("zone-without-soa", f"zone {standing.name} has no SOA record", retryable=False)
            if record["TTL"] != value:
                await change_record(route53, zone_id, "UPSERT", {**record, "TTL": value})

    async def delete(self, standing: StandingResource) -> None:
        """Delete the zone. Raises RoadError while a delegation leads to it: its name could be taken over otherwise."""
        route53 = await self._place.client("route53")
        tags = standing.state.get("tags")
        admin = str(tags.get(DELEGATED_IN_TAG, "")) if isinstance(tags, Mapping) else ""
        if admin:
            await self._check_undelegated(standing, admin)
        try:
            await route53.delete_hosted_zone(Id=str(standing.outputs["id"]))
        except route53.exceptions.NoSuchHostedZone:
            return

    async def _check_undelegated(self, standing: StandingResource, admin: str) -> None:
        parent = await self._place.client_in(admin, "route53")
        zones = await public_zones(parent, with_tags=False)
        _, record = await parent_record(parent, zones, standing.name, admin)
        if record is not None and values_of(record) == standing.outputs["name_servers"]:
            address = f"delegation/{delegation_name(admin, standing.name)}"
            raise RoadError(
                "zone-delegated", f"account {admin} still delegates {standing.name} to this zone", retryable=False,
                fix=f"delete the delegation too: --delete '{address}'",
            )  # fmt: skip

    async def _standing(self, route53: Any, zone: HostedZone, wanted: WantedResource | None) -> StandingResource:
        soa = await record_of(route53, zone.zone_id, zone.name, "SOA")
        return StandingResource(
            kind=ZONE, name=zone.name, is_own=zone.is_own,
            state={"tags": seen_tags(zone.tags, wanted), "soa_ttl": soa.get("TTL") if soa is not None else None},
            outputs={"id": zone.zone_id, "name_servers": await name_servers_of(route53, zone.zone_id)},
        )  # fmt: skip
