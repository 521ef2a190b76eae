"""The network that was found, as `vpc`, `vpc_net`, `nat` and what belongs to them. Pure.

`vpc` is about the VPCs of all regions: it is stated only where every region has one, and where they have the same
endpoints and flow logs. Without it a VPC has those of the defaults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from whence_aggregator.accounts.configuration.network import Vpc
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.resources import Json
from whence_aggregator.accounts.steps.found_vpc import FoundVpc, find_vpc
from whence_aggregator.accounts.steps.found_ways import (
    endpoints_of,
    flow_logs_of,
    has_dmz_tables,
    has_nat_gateways,
    ways_left_out,
)

KINDS = (
    "vpc", "internet-gateway", "subnet", "route-table", "nat-gateway", "vpc-endpoint", "flow-log-group", "flow-log",
    "security-group",
)  # fmt: skip
_KEY = "vpc_net"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedNetwork:
    """The VPCs that are stated, by region, their part of the section, and notes."""

    vpcs: Mapping[str, FoundVpc]
    endpoints: tuple[str, ...]
    section: Mapping[str, Json]
    notes: tuple[ImportNote, ...]


def stated_with_vpc(found: FoundAccount) -> StatedSection:
    """Return nothing: the step `vpc` states what is in VPCs, together."""
    return StatedSection()


def stated(found: FoundAccount) -> StatedSection:
    network = state_network(found)
    return StatedSection(section=network.section, notes=network.notes)


def state_network(found: FoundAccount) -> StatedNetwork:
    """Return what is stated of the network; nothing where a part of it could not be read."""
    notes: list[str] = []
    vpcs: dict[str, FoundVpc] = {}
    for region in found.regions if found.is_read(*KINDS) else ():
        vpc, left_out = find_vpc(found, region)
        notes += left_out
        if vpc is not None:
            vpcs[region] = vpc
    vpcs, common, more = _in_common(found, vpcs)
    notes += more
    if not vpcs:
        return StatedNetwork(vpcs={}, endpoints=(), section={}, notes=_notes(notes))
    all_vpcs = list(vpcs.values())
    nat, dmz_tables = has_nat_gateways(found, all_vpcs), has_dmz_tables(found, all_vpcs)
    for vpc in all_vpcs:
        left_out = [
            *ways_left_out(found, vpc, nat=nat, dmz_tables=dmz_tables), *endpoints_of(found, vpc)[1],
            *flow_logs_of(found, vpc)[2],
        ]  # fmt: skip
        notes += [f"{vpc.region}: {one}" for one in left_out]
    section: dict[str, Json] = {
        **({"vpc": common} if common is not None else {}), "vpc_net": {one.region: _net(one) for one in all_vpcs},
        "nat": "gateway" if nat else "none", **({"enable_dedicated_dmz_route": True} if dmz_tables else {}),
    }  # fmt: skip
    endpoints = tuple((common or msgspec.to_builtins(Vpc()))["endpoints"])
    return StatedNetwork(vpcs=vpcs, endpoints=endpoints, section=section, notes=_notes(notes))


def _notes(texts: Sequence[str]) -> tuple[ImportNote, ...]:
    return tuple(ImportNote(key=_KEY, text=one) for one in texts)


def _net(vpc: FoundVpc) -> Json:
    zones = dict.fromkeys(one.zone for one in vpc.subnets)
    return {
        "cidr": vpc.cidr,
        "subnets": {
            zone: [
                {"cidr": one.cidr, "type": one.type, **({"tags": one.tags} if one.tags else {})}
                for one in vpc.subnets if one.zone == zone
            ]
            for zone in zones
        },
    }  # fmt: skip


def _in_common(
    found: FoundAccount, vpcs: Mapping[str, FoundVpc]
) -> tuple[dict[str, FoundVpc], dict[str, Any] | None, list[str]]:
    """Return the VPCs that can be stated together, with the section `vpc`, or None for its defaults, and notes."""
    raw = {region: _about(found, one) for region, one in vpcs.items()}
    templates = {region: _templated(one, region) for region, one in raw.items()}
    defaults = _about_defaults()
    alike = next(
        (many for many in (raw, templates) if vpcs and all(one == many[min(many)] for one in many.values())), None
    )
    if alike is not None and set(vpcs) == set(found.regions):
        about = alike[min(alike)]
        tags, notes = _tags(vpcs)
        section = {**({"tags": tags} if tags else {}), **_section(about)}
        return dict(vpcs), (section if tags or about != defaults else None), notes
    kept = {region: one for region, one in vpcs.items() if raw[region] == defaults}
    notes = [
        f"{region}: VPC {vpcs[region].id}: its endpoints and flow logs are not those of the defaults, and vpc is about "
        f"the VPCs of all regions: {', '.join(one for one in found.regions if one != region)} have none, or others; "
        "import these regions alone"
        for region in vpcs if region not in kept
    ]  # fmt: skip
    tagged = [f"{one.region}: tag {name} of VPC {one.id}" for one in kept.values() for name in sorted(one.tags)]
    return kept, None, notes + tagged


def _tags(vpcs: Mapping[str, FoundVpc]) -> tuple[dict[str, Json], list[str]]:
    """Return the tags that all VPCs have, and the others in words."""
    first = next(iter(vpcs.values())).tags
    tags = {name: value for name, value in first.items() if all(one.tags.get(name) == value for one in vpcs.values())}
    return tags, [
        f"{one.region}: tag {name} of VPC {one.id}: the VPCs of all regions have the same ones"
        for one in vpcs.values() for name in sorted(one.tags) if name not in tags
    ]  # fmt: skip


def _about(found: FoundAccount, vpc: FoundVpc) -> dict[str, Any]:
    """Return what the section `vpc` states of one VPC: the role and the retention where the log group is used."""
    destinations, role, _ = flow_logs_of(found, vpc)
    group = next(iter(found.of("flow-log-group", region=vpc.region)), None)
    days = group.state["retention_in_days"] if group is not None and role is not None else None
    return {
        "endpoints": endpoints_of(found, vpc)[0], "flow_log_destinations": destinations, "flow_logs_role": role,
        "flow_logs_retention_in_days": days,
    }  # fmt: skip


def _about_defaults() -> dict[str, Any]:
    defaults = Vpc()
    return {
        "endpoints": defaults.endpoints, "flow_log_destinations": defaults.flow_log_destinations,
        "flow_logs_role": defaults.flow_logs_role, "flow_logs_retention_in_days": defaults.flow_logs_retention_in_days,
    }  # fmt: skip


def _templated(about: Mapping[str, Any], region: str) -> dict[str, Any]:
    destinations = tuple(one.replace(region, "{region}") for one in about["flow_log_destinations"])
    return {**about, "flow_log_destinations": destinations}


def _section(about: Mapping[str, Any]) -> dict[str, Any]:
    lists = {name: list(about[name]) for name in ("endpoints", "flow_log_destinations")}
    return {**lists, **{name: value for name, value in about.items() if name not in lists and value is not None}}
