"""Service quotas, by the API of that name, and how much of some is used. All calls read.

Quotas of global services are stated in us-east-1 only. The use of a quota is read where one list or one summary states
it; per-VPC and per-resource quotas have none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from whence_aggregator.accounts.limits import ServiceLimit
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list
from whence_aggregator.adapters.aws_clients import CALL_FAILURES
from whence_aggregator.adapters.aws_refusals import why
from whence_common.errors import RoadError

LIMIT_ACTIONS = (
    "servicequotas:ListServiceQuotas", "ec2:DescribeVpcs", "ec2:DescribeInternetGateways",
    "ec2:DescribeSecurityGroups", "ec2:DescribeNetworkInterfaces", "ec2:DescribeVpcEndpoints", "ec2:DescribeAddresses",
    "iam:GetAccountSummary", "s3:ListAllMyBuckets", "route53:GetHostedZoneCount",
)  # fmt: skip
_GLOBAL_REGION = "us-east-1"
_REGIONAL_SERVICES = ("vpc", "ec2")
_GLOBAL_SERVICES = ("iam", "s3", "route53")
_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class _Use:
    """How the use of quotas is read: the service's client, one call, and the quotas' codes."""

    client: str
    counts: Callable[[Any], Awaitable[Mapping[str, int]]]
    codes: tuple[str, ...]


async def read_limits(place: AwsPlace) -> list[ServiceLimit]:
    """Return the quotas of a region, and in the account's first region those of the whole account, by service and name.

    Raises what the SDK raises where quotas cannot be listed. Where only the use cannot be read, the limit states why.
    """
    is_first = place.region == place.target.regions[0]
    services = [(one, place.region) for one in _REGIONAL_SERVICES]
    services += [(one, _GLOBAL_REGION) for one in _GLOBAL_SERVICES if is_first]
    found = await asyncio.gather(*(_quotas(place, service, region) for service, region in services))
    limits = [one for each in found for one in each]
    stated = {one.code for one in limits}
    used = await asyncio.gather(*(_used(place, one) for one in _USES if stated & set(one.codes)))
    counts = {code: one for each in used for code, one in each.items()}
    known = [_with_use(one, counts.get(one.code)) for one in limits]
    return sorted(known, key=lambda one: (one.region or "", one.service, one.name, one.code))


async def _quotas(place: AwsPlace, service: str, region: str) -> list[ServiceLimit]:
    client = await place.client("service-quotas", region)
    try:
        listed = await whole_list(client, "list_service_quotas", "Quotas", ServiceCode=service)
    except client.exceptions.NoSuchResourceException:
        return []
    is_global = service in _GLOBAL_SERVICES
    return [
        ServiceLimit(
            service=service, code=str(one["QuotaCode"]), name=str(one.get("QuotaName", ""))[:_CHARACTERS_MAX],
            region=None if is_global or one.get("GlobalQuota") else region, value=float(one["Value"]),
            unit="" if one.get("Unit") in (None, "None") else str(one["Unit"]),
            is_adjustable=bool(one.get("Adjustable")),
        )
        for one in listed if "Value" in one
    ]  # fmt: skip


async def _used(place: AwsPlace, use: _Use) -> dict[str, int | str]:
    """Return the use by code, or why it could not be read."""
    try:
        counts = await use.counts(await place.client(use.client))
    except CALL_FAILURES as exc:
        return dict.fromkeys(use.codes, why(exc)[:_CHARACTERS_MAX])
    except RoadError as exc:
        return dict.fromkeys(use.codes, exc.message[:_CHARACTERS_MAX])
    return {code: counts[code] for code in use.codes if code in counts}


def _with_use(limit: ServiceLimit, found: int | str | None) -> ServiceLimit:
    if isinstance(found, str):
        return replace(limit, problem=found)
    return replace(limit, used=found)


def _length(code: str, operation: str, key: str, filters: Sequence[Mapping[str, Any]] = ()) -> _Use:
    async def counts(client: Any) -> Mapping[str, int]:
        asked: dict[str, Any] = {"Filters": list(filters)} if filters else {}
        return {code: len(await whole_list(client, operation, key, **asked))}

    return _Use("ec2", counts, (code,))


async def _addresses(ec2: Any) -> Mapping[str, int]:
    return {"L-0263D0A3": len((await ec2.describe_addresses())["Addresses"])}


async def _iam(iam: Any) -> Mapping[str, int]:
    summary = (await iam.get_account_summary())["SummaryMap"]
    names = {"L-FE177D64": "Roles", "L-F4A5425F": "Groups", "L-6E65F664": "InstanceProfiles"}
    return {code: int(summary[name]) for code, name in names.items() if name in summary}


async def _buckets(s3: Any) -> Mapping[str, int]:
    return {"L-DC2B2D3D": len(await whole_list(s3, "list_buckets", "Buckets"))}


async def _zones(route53: Any) -> Mapping[str, int]:
    return {"L-4EA4796A": int((await route53.get_hosted_zone_count())["HostedZoneCount"])}


_GATEWAYS = ({"Name": "vpc-endpoint-type", "Values": ["Gateway"]},)
_USES = (
    _length("L-F678F1CE", "describe_vpcs", "Vpcs"),
    _length("L-A4707A72", "describe_internet_gateways", "InternetGateways"),
    _length("L-E79EC296", "describe_security_groups", "SecurityGroups"),
    _length("L-DF5E4CA3", "describe_network_interfaces", "NetworkInterfaces"),
    _length("L-1B52E74A", "describe_vpc_endpoints", "VpcEndpoints", _GATEWAYS),
    _Use("ec2", _addresses, ("L-0263D0A3",)),
    _Use("iam", _iam, ("L-FE177D64", "L-F4A5425F", "L-6E65F664")),
    _Use("s3", _buckets, ("L-DC2B2D3D",)),
    _Use("route53", _zones, ("L-4EA4796A",)),
)
"""Codes are AWS's own, the same in all accounts: `aws service-quotas list-service-quotas --service-code vpc`."""
