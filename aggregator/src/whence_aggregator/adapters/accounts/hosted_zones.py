"""Public hosted zones and their records, by Route 53. Private zones of the same names are other zones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.accounts.domains import plain
from whence_aggregator.accounts.resources import OWN_TAG, OWN_VALUE, is_own
from whence_aggregator.adapters.accounts.shared_reads import once
from whence_aggregator.adapters.accounts.whole_lists import whole_list
from whence_common.errors import RoadError

MARK = f"{OWN_TAG}={OWN_VALUE}"
"""Comment of a zone that we create. CreateHostedZone takes no tags: until they are set the comment marks the zone."""
_TAGS_A_CALL = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedZone:
    """A public zone. `tags` are those that were asked for."""

    zone_id: str
    name: str
    comment: str
    tags: Mapping[str, str]

    @property
    def is_own(self) -> bool:
        return is_own(self.tags) or self.comment == MARK


async def public_zones(route53: Any, *, with_tags: bool) -> list[HostedZone]:
    """Return all public zones of the client's account."""
    listed = [
        one for one in await whole_list(route53, "list_hosted_zones", "HostedZones")
        if not one.get("Config", {}).get("PrivateZone")
    ]  # fmt: skip
    ids = [zone_id_in(one) for one in listed]
    tags = await _tags(route53, ids) if with_tags else {}
    return [
        HostedZone(
            zone_id=zone_id, name=plain(one["Name"]), comment=one.get("Config", {}).get("Comment") or "",
            tags=tags.get(zone_id, {}),
        )
        for zone_id, one in zip(ids, listed, strict=True)
    ]  # fmt: skip


def the_zone(zones: Iterable[HostedZone], name: str, account_id: str) -> HostedZone | None:
    """Return the zone of a name. Raises RoadError where two have it."""
    found = [one for one in zones if one.name == name]
    if len(found) > 1:
        ids = ", ".join(sorted(one.zone_id for one in found))
        raise RoadError(
            "zone-ambiguous", f"account {account_id} has {len(found)} public hosted zones named {name}: {ids}",
            fix="delete those to which no delegation leads", retryable=False,
        )  # fmt: skip
    return found[0] if found else None


async def name_servers_of(route53: Any, zone_id: str) -> Sequence[str]:
    """Return the name servers of a zone, sorted."""
    return name_servers_in(await once(route53, "get_hosted_zone", Id=zone_id))


def name_servers_in(answer: Mapping[str, Any]) -> list[str]:
    """Return the name servers in the description of a zone, sorted."""
    return sorted(plain(one) for one in answer.get("DelegationSet", {}).get("NameServers", []))


def zone_id_in(zone: Mapping[str, Any]) -> str:
    return str(zone["Id"]).rpartition("/")[2]


async def record_of(route53: Any, zone_id: str, name: str, kind: str) -> dict[str, Any] | None:
    """Return the record set of a name and type as Route 53 has it, in its own form."""
    answer = await route53.list_resource_record_sets(
        HostedZoneId=zone_id, StartRecordName=f"{name}.", StartRecordType=kind, MaxItems="1"
    )
    found = next(iter(answer["ResourceRecordSets"]), None)
    return found if found is not None and (plain(found["Name"]), found["Type"]) == (name, kind) else None


def values_of(record: Mapping[str, Any]) -> list[str]:
    """Return the values of a record that are names, sorted."""
    return sorted(plain(str(one["Value"])) for one in record.get("ResourceRecords", []))


async def change_record(route53: Any, zone_id: str, action: str, record: Mapping[str, Any]) -> None:
    """Make one change: CREATE, which fails where the record exists, UPSERT or DELETE."""
    batch = {"Comment": MARK, "Changes": [{"Action": action, "ResourceRecordSet": record}]}
    await route53.change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch=batch)


async def _tags(route53: Any, ids: Sequence[str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for start in range(0, len(ids), _TAGS_A_CALL):
        asked = list(ids[start : start + _TAGS_A_CALL])
        answer = await once(route53, "list_tags_for_resources", ResourceType="hostedzone", ResourceIds=asked)
        for one in answer["ResourceTagSets"]:
            found[str(one["ResourceId"])] = {tag["Key"]: tag.get("Value", "") for tag in one.get("Tags", [])}
    return found
