"""Subnet groups, by RDS and by ElastiCache, whose calls differ in names only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.accounts.resources import Json, ResourceKind, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.subnet_groups import CACHE_SUBNET_GROUP, DB_SUBNET_GROUP, DESCRIPTION, NAME
from whence_aggregator.adapters.accounts.network_reads import Item, tag_list
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_BY_AWS = re.compile(r"default(-vpc-.*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Service:
    """A service, and its words: methods of its client end in `group`, keys of its answers begin with `prefix`."""

    kind: ResourceKind
    name: str
    group: str
    prefix: str
    arn: str


_RDS = _Service(
    kind=DB_SUBNET_GROUP, name="rds", group="db_subnet_group", prefix="DBSubnetGroup", arn="DBSubnetGroupArn"
)
_CACHE = _Service(
    kind=CACHE_SUBNET_GROUP, name="elasticache", group="cache_subnet_group", prefix="CacheSubnetGroup", arn="ARN"
)


class _SubnetGroupProvider:
    def __init__(self, place: AwsPlace, service: _Service) -> None:
        self._place = place
        self._service = service

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        groups = [one for one in await self._groups() if self._name(one) == NAME]
        found = [await self._with_tags(one, wanted[0] if wanted else None) for one in groups]
        return [one for one in found if wanted or one.is_own]

    async def find(self) -> Sequence[StandingResource]:
        """Return all groups by name. AWS makes one named `default`, and one for the default VPC."""
        made = [one for one in await self._groups() if _BY_AWS.fullmatch(self._name(one)) is None]
        return [await self._with_tags(one, None) for one in made]

    async def _groups(self) -> Sequence[Item]:
        client = await self._place.client(self._service.name)
        return await whole_list(client, f"describe_{self._service.group}s", f"{self._service.prefix}s")

    async def _with_tags(self, found: Item, wanted: WantedResource | None) -> StandingResource:
        client = await self._place.client(self._service.name)
        arn = found[self._service.arn]
        tag_items = (await client.list_tags_for_resource(ResourceName=arn)).get("TagList", [])
        tags = {one["Key"]: one["Value"] for one in tag_items}
        return self._standing(found, wanted, tags)

    def _name(self, found: Item) -> str:
        return str(found[f"{self._service.prefix}Name"])

    def _standing(self, group: Item, wanted: WantedResource | None, tags: Mapping[str, str]) -> StandingResource:
        state: dict[str, Json] = {
            "tags": seen_tags(tags, wanted), "vpc": group["VpcId"],
            "subnets": sorted(one["SubnetIdentifier"] for one in group["Subnets"]),
        }  # fmt: skip
        return StandingResource(
            kind=self._service.kind, name=self._name(group), region=self._place.region, state=state,
            is_own=is_own(tags), outputs={"arn": group[self._service.arn]},
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> StandingResource:
        more = {f"{self._service.prefix}Description": DESCRIPTION, "Tags": tag_list(wanted.state["tags"])}
        answer = await self._call("create", SubnetIds=wanted.state["subnets"], **more)
        return self._standing(answer[self._service.prefix], wanted, dict(wanted.state["tags"]))  # type: ignore[arg-type]  # a mapping, as in the step

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        if aspect == "tags":
            client = await self._place.client(self._service.name)
            await client.add_tags_to_resource(ResourceName=standing.outputs["arn"], Tags=tag_list(value))
        else:
            await self._call("modify", SubnetIds=value)

    async def delete(self, standing: StandingResource) -> None:
        await self._call("delete")

    async def _call(self, verb: str, **more: Any) -> Any:
        client = await self._place.client(self._service.name)
        return await getattr(client, f"{verb}_{self._service.group}")(**{f"{self._service.prefix}Name": NAME}, **more)


class DbSubnetGroupProvider(_SubnetGroupProvider):
    def __init__(self, place: AwsPlace) -> None:
        super().__init__(place, _RDS)


class CacheSubnetGroupProvider(_SubnetGroupProvider):
    def __init__(self, place: AwsPlace) -> None:
        super().__init__(place, _CACHE)
