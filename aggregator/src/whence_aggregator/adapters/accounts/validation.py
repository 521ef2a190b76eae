"""The DNS records by which ACM validates and renews a certificate, in the account's own zone.

ACM states the same record for a name in all regions of an account, so one record serves all of its certificates. It is
never deleted here: another certificate may be renewed by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.accounts.domains import plain
from whence_aggregator.accounts.steps.certificates import validated_name
from whence_aggregator.adapters.accounts.hosted_zones import (
    HostedZone,
    change_record,
    public_zones,
    record_of,
    the_zone,
    values_of,
)
from whence_common.errors import RoadError

_RECORD_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationRecord:
    """A CNAME that ACM asks for."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}. CNAME {self.value}."


def validation_records(described: Mapping[str, Any]) -> dict[str, ValidationRecord]:
    """Return the records of a described certificate by the name that they validate. ACM states them a moment late."""
    return {
        validated_name(plain(option["DomainName"])): ValidationRecord(
            name=plain(option["ResourceRecord"]["Name"]), value=plain(option["ResourceRecord"]["Value"])
        )
        for option in described.get("DomainValidationOptions", [])
        if option.get("ResourceRecord", {}).get("Type") == "CNAME"
    }


async def zone_id_of(route53: Any, zone: str, account_id: str) -> str | None:
    """Return the id of the account's zone. Raises RoadError where two zones have the name."""
    found = the_zone(await public_zones(route53, with_tags=False), zone, account_id)
    return found.zone_id if found is not None else None


async def in_place(
    route53: Any, zone_id: str, records: Mapping[str, ValidationRecord], names: Sequence[str]
) -> list[str]:
    """Return those of the names whose record stands in the zone."""
    return [name for name in names if name in records and await _stands(route53, zone_id, records[name])]


async def write_records(
    route53: Any, zone: str, account_id: str, records: Mapping[str, ValidationRecord], names: Sequence[str]
) -> None:
    """Create the records that do not stand. Raises RoadError for a zone, or a record, that is not our own."""
    missing = [one for one in names if one not in records]
    if missing:
        message = f"ACM does not state the validation record of {', '.join(missing)} yet"
        raise RoadError("certificate-record-unknown", message, fix="plan and apply again in a minute")
    found = the_zone(await public_zones(route53, with_tags=True), zone, account_id)
    if found is None or not found.is_own:
        state = "does not exist" if found is None else "is not our own"
        raise RoadError(
            "certificate-zone-foreign", f"zone {zone} {state}, so no validation record is written", retryable=False,
            fix=f"name it with --adopt 'zone/{zone}', or write {'; '.join(str(records[one]) for one in names[:3])}",
        )  # fmt: skip
    for name in names:
        await _write(route53, found, records[name])


async def _write(route53: Any, zone: HostedZone, record: ValidationRecord) -> None:
    stands = await record_of(route53, zone.zone_id, record.name, "CNAME")
    if stands is not None and values_of(stands) != [record.value]:
        message = f"zone {zone.name} has another record {record.name}, for {', '.join(values_of(stands))}"
        fix = f"delete it, or write {record}"
        raise RoadError("certificate-record-foreign", message, fix=fix, retryable=False)
    if stands is None:
        values = [{"Value": f"{record.value}."}]
        made = {"Name": f"{record.name}.", "Type": "CNAME", "TTL": _RECORD_SECONDS, "ResourceRecords": values}
        await change_record(route53, zone.zone_id, "CREATE", made)


async def _stands(route53: Any, zone_id: str, record: ValidationRecord) -> bool:
    found = await record_of(route53, zone_id, record.name, "CNAME")
    return found is not None and values_of(found) == [record.value]
