"""The delegation of the account's zone: an NS record in the nearest parent zone of the admin account."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.domains import parents
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource
from whence_aggregator.accounts.steps.dns import DELEGATED_IN_TAG, DELEGATION, delegation_name
from whence_aggregator.adapters.accounts.hosted_zones import (
    HostedZone,
    change_record,
    name_servers_of,
    public_zones,
    record_of,
    the_zone,
    values_of,
)  # fmt: skip
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_common.errors import RoadError


class DelegationProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        route53 = await self._place.client("route53")
        own = {one.name: one for one in await public_zones(route53, with_tags=True) if one.is_own}
        led = {one.name for one in wanted}
        left = {delegation_name(one.tags[DELEGATED_IN_TAG], one.name) for one in own.values()
                if DELEGATED_IN_TAG in one.tags} - led  # fmt: skip
        servers = {name: await name_servers_of(route53, own[name].zone_id)
                   for name in sorted({one.partition("/")[2] for one in led | left} & set(own))}  # fmt: skip
        found = [await self._standing(name, servers, is_wanted=name in led) for name in sorted(led | left)]
        return [one for one in found if one is not None and (one.name in led or one.is_own)]

    async def create(self, wanted: WantedResource) -> StandingResource:
        await self._change(wanted.name, "CREATE", wanted.state["record"])
        return StandingResource(kind=DELEGATION, name=wanted.name, state=wanted.state, is_own=True)

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        await self._change(standing.name, "UPSERT", value)

    async def delete(self, standing: StandingResource) -> None:
        admin, _, domain = standing.name.partition("/")
        route53 = await self._place.client_in(admin, "route53")
        parent, record = await parent_record(route53, await public_zones(route53, with_tags=False), domain, admin)
        if parent is not None and record is not None:
            await change_record(route53, parent.zone_id, "DELETE", record)

    async def _standing(
        self, name: str, servers: Mapping[str, Sequence[str]], *, is_wanted: bool
    ) -> StandingResource | None:
        admin, _, domain = name.partition("/")
        route53 = await self._place.client_in(admin, "route53")
        parent, record = await parent_record(route53, await public_zones(route53, with_tags=False), domain, admin)
        if parent is None and is_wanted:
            raise _no_parent(domain, admin)
        if record is None:
            return None
        values = values_of(record)
        return StandingResource(
            kind=DELEGATION, name=name, state={"record": {"name_servers": values, "ttl": record.get("TTL")}},
            is_own=domain in servers and values == servers[domain],
        )  # fmt: skip

    async def _change(self, name: str, action: str, value: Json) -> None:
        assert isinstance(value, Mapping)
        admin, _, domain = name.partition("/")
        route53 = await self._place.client_in(admin, "route53")
        parent, _ = await parent_record(route53, await public_zones(route53, with_tags=False), domain, admin)
        if parent is None:
            raise _no_parent(domain, admin)
        values = [{"Value": f"{one}."} for one in value["name_servers"]]  # type: ignore[union-attr]  # a list, as in the step
        record: dict[str, Json] = {
            "Name": f"{domain}.", "Type": "NS", "TTL": value["ttl"], "ResourceRecords": values
        }  # fmt: skip
        await change_record(route53, parent.zone_id, action, record)


async def parent_record(
    route53: Any, zones: Sequence[HostedZone], domain: str, account_id: str
) -> tuple[HostedZone | None, dict[str, Any] | None]:
    """Return the nearest zone above a domain, and the domain's NS record in it. Raises RoadError where two are it."""
    for name in parents(domain):
        zone = the_zone(zones, name, account_id)
        if zone is not None:
            return zone, await record_of(route53, zone.zone_id, domain, "NS")
    return None, None


def _no_parent(domain: str, admin: str) -> RoadError:
    return RoadError(
        "zone-without-parent", f"account {admin} has no public hosted zone above {domain}", retryable=False,
        fix="create the parent zone there, or write admin_account: null for an account that it does not delegate to",
    )  # fmt: skip
