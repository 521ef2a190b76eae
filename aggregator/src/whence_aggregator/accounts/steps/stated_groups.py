"""The security groups that were found, with the trusted networks, as `security_groups` and `trusted_networks`. Pure.

A group is stated where every region's VPC has it alike. Rules that no configuration states are left where they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.accounts.canonical import canonical_json
from whence_aggregator.accounts.configuration.network import VPC_CIDR
from whence_aggregator.accounts.found import FoundAccount, ImportNote, StatedSection
from whence_aggregator.accounts.ingress import (
    KMS_GROUP,
    TRUSTED_LISTS,
    WITH_PORTS,
    IngressRule,
    flattened,
    grouped,
    in_words,
)
from whence_aggregator.accounts.resources import Json, StandingResource
from whence_aggregator.accounts.steps.stated_network import KINDS, state_network

_KEY = "security_groups"
_NAME_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trusted:
    """The trusted networks by name, and the ids of their lists in each region."""

    networks: Mapping[str, Json]
    lists: Mapping[str, frozenset[str]]


def stated(found: FoundAccount) -> StatedSection:
    if not found.is_read("prefix-list", *KINDS):
        return StatedSection()
    network = state_network(found)
    cidrs = {region: network.vpcs[region].cidr if region in network.vpcs else VPC_CIDR for region in found.regions}
    places = {region: _vpc_ids(found, region, cidr) for region, cidr in cidrs.items()}
    trusted, notes = _trusted(found)
    has_kms = "kms" in network.endpoints and bool(network.vpcs)
    groups: dict[str, Json] = {}
    for name in dict.fromkeys(one.name for one in found.of("security-group")):
        standing = [one for one in found.of("security-group") if one.name == name]
        inside = [one for one in standing if one.state["vpc"] in places[str(one.region)]]
        if name == KMS_GROUP and has_kms:
            inside, standing = [], [one for one in standing if one not in inside]
        section, left_out = _group(found, inside, trusted)
        if section is not None:
            groups[name] = section
        notes += [f"security group {name}: {one}" for one in left_out]
        notes += [
            f"security group {name} ({one.outputs['id']}) of {one.state['vpc']} in {one.region}: groups are stated in "
            f"the VPC {cidrs[str(one.region)]} of the region"
            for one in standing if one not in inside
        ]  # fmt: skip
    uses = any(isinstance(one, Mapping) and one.get("allow_from_trusted") for one in groups.values())
    notes += [] if uses else [
        f"prefix list {one.name} in {one.region}: no group that is stated allows it"
        for one in found.of("prefix-list") if one.name in TRUSTED_LISTS.values()
    ]  # fmt: skip
    section = {"trusted_networks": trusted.networks if uses else {}, "security_groups": groups}
    return StatedSection(section=section, notes=tuple(ImportNote(key=_KEY, text=one) for one in notes))


def _vpc_ids(found: FoundAccount, region: str, cidr: str) -> set[Json]:
    """Return the VPC in which a region's groups are stated, if it is clear which one that is."""
    named = [one for one in found.of("vpc", region=region) if one.name == cidr]
    own = [one for one in named if one.is_own] or named
    return {one.outputs["id"] for one in own} if len(own) == 1 else set()


def _group(
    found: FoundAccount, standing: Sequence[StandingResource], trusted: _Trusted
) -> tuple[dict[str, Json] | None, list[str]]:
    """Return the section of a group, None where none states it, and what it leaves out, in words."""
    if not standing:
        return None, []
    missing = [one for one in found.regions if all(each.region != one for each in standing)]
    if missing:
        ids = ", ".join(f"{one.outputs['id']} in {one.region}" for one in standing)
        return None, [f"{ids}: a configuration has it in the VPC of every region, and {', '.join(missing)} has none"]
    sections: list[dict[str, Json]] = []
    left_out = []
    for one in standing:
        section, rules = _section(one, trusted)
        sections.append(section)
        left_out += [f"rule {in_words(each)} of {one.outputs['id']} in {one.region}" for each in rules]
    if any(canonical_json(one) != canonical_json(sections[0]) for one in sections):
        return None, ["it differs among the regions, and a configuration has it alike in all of them"]
    if not sections[0]["ip_permissions"]:
        return None, [*left_out, "it has no rule for networks or trusted networks, and a configuration states some"]
    return sections[0], left_out


def _section(one: StandingResource, trusted: _Trusted) -> tuple[dict[str, Json], list[IngressRule]]:
    """Return a group as the configuration has it, and the rules that it does not state."""
    rules = flattened(one.state["ingress"])
    lists = trusted.lists[str(one.region)]
    usable = [each for each in rules if _is_usable(each)]
    heads = {each[:3] for each in usable if each.is_network or each.source in lists}
    from_lists = {head: {each.source for each in usable if each[:3] == head} & lists for head in heads}
    allows = bool(lists) and bool(heads) and all(sources == lists for sources in from_lists.values())
    kept = [each for each in usable if each.is_network or (allows and each.source in lists)]
    section: dict[str, Json] = {"ip_permissions": [_permission(each) for each in _by_head(kept)]}
    if allows:
        section["allow_from_trusted"] = True
    return section | {"description": one.state["description"]}, [each for each in rules if each not in kept]


def _is_usable(one: IngressRule) -> bool:
    """Return whether a configuration accepts the protocol and ports of a rule."""
    if one.protocol not in WITH_PORTS:
        return True
    if one.from_port is None or one.to_port is None:
        return False
    return one.protocol not in ("tcp", "udp") or 0 <= one.from_port <= one.to_port


def _by_head(rules: Sequence[IngressRule]) -> Sequence[Mapping[str, Json]]:
    return [one for one in grouped(rules) if isinstance(one, Mapping)]


def _permission(group: Mapping[str, Json]) -> Json:
    ports = {"from_port": group["from_port"], "to_port": group["to_port"]} if group["from_port"] is not None else {}
    networks = {"ip_ranges": group["networks"]} if group["networks"] else {}
    return {"ip_protocol": group["protocol"], **ports, **networks}


def _trusted(found: FoundAccount) -> tuple[_Trusted, list[str]]:
    """Return the trusted networks, if the lists of all regions have the same ones, and notes."""
    lists = [one for one in found.of("prefix-list") if one.name in TRUSTED_LISTS.values()]
    entries = {
        region: {one.name: _networks(one) for one in lists if one.region == region} for region in found.regions
    }  # fmt: skip
    first = entries[found.regions[0]]
    if not lists or any(
        {name: set(one) for name, one in each.items()} != {name: set(one) for name, one in first.items()}
        for each in entries.values()
    ):
        names = ", ".join(f"{one.name} in {one.region}" for one in lists)
        notes = [f"trusted_networks: the prefix lists differ among the regions: {names}"] if lists else []
        return _Trusted(networks={}, lists=dict.fromkeys(found.regions, frozenset())), notes
    networks: dict[str, Json] = {}
    for cidr, description in (pair for one in first.values() for pair in one.items()):
        name = str(description)
        is_usable = 0 < len(name) <= _NAME_CHARACTERS_MAX and name not in networks
        networks[name if is_usable else cidr] = cidr
    ids = {
        region: frozenset(str(one.outputs["id"]) for one in lists if one.region == region) for region in found.regions
    }
    return _Trusted(networks=networks, lists=ids), []


def _networks(one: StandingResource) -> Mapping[str, Json]:
    entries = one.state["entries"]
    return entries if isinstance(entries, Mapping) else {}
