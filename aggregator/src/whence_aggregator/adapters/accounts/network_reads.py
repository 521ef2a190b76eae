"""What the providers of the network share: whole lists, tags, and how a resource is found by tag or by nature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from whence_aggregator.accounts.resources import NAME_TAG, Json, WantedResource, is_own
from whence_common.errors import RoadError

Item: TypeAlias = Mapping[str, Any]
"""A resource as AWS describes it."""
_REFERENCE = "$of"


def tags_of(item: Item) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in item.get("Tags") or item.get("TagSet") or []}


def tag_list(tags: Json) -> list[dict[str, str]]:
    assert isinstance(tags, Mapping)
    return [{"Key": name, "Value": str(value)} for name, value in tags.items()]


def tagged(resource_type: str, tags: Json) -> list[dict[str, Any]]:
    """Return the tag specification of a creation; none for no tags, which EC2 refuses."""
    return [{"ResourceType": resource_type, "Tags": tag_list(tags)}] if tags else []


async def put_tags(ec2: Any, identity: Json, tags: Json) -> None:
    await ec2.create_tags(Resources=[identity], Tags=tag_list(tags))


def matched(
    wanted: Sequence[WantedResource], items: Iterable[Item], is_it: Callable[[WantedResource, Item], bool]
) -> Iterator[tuple[str, WantedResource | None, Item]]:
    """Return name, wanted resource and item: those with our tag by name, else by nature; then all others of our own.

    Of two items of our own with one name the second is named after both, so that both are seen.
    """
    left = list(items)
    names: set[str] = set()
    for one in wanted:
        found = next((item for item in left if _is_named(item, one.name)), None)
        found = found or next((item for item in left if is_it(one, item)), None)
        if found is not None:
            left.remove(found)
            names.add(one.name)
            yield one.name, one, found
    for item in left:
        tags = tags_of(item)
        if is_own(tags) and NAME_TAG in tags:
            name = tags[NAME_TAG]
            name = name if name not in names and all(one.name != name for one in wanted) else f"{name}@{_id(item)}"
            names.add(name)
            yield name, None, item


def _is_named(item: Item, name: str) -> bool:
    tags = tags_of(item)
    return is_own(tags) and tags.get(NAME_TAG) == name


def _id(item: Item) -> str:
    return next((str(value) for name, value in item.items() if name.endswith("Id") and isinstance(value, str)), "")


def find_vpc(vpcs: Sequence[Item], value: Json) -> Item | None:
    """Return the VPC that an id means, or a reference to a VPC by its network.

    Of several with one network ours is meant. Raises RoadError where none or several of them are ours.
    """
    if isinstance(value, str):
        return next((one for one in vpcs if one["VpcId"] == value), None)
    name = name_in(value)
    return vpc_of_network(vpcs, name) if name is not None else None


def vpc_of_network(vpcs: Sequence[Item], cidr: str) -> Item | None:
    found = [one for one in vpcs if one["CidrBlock"] == cidr]
    own = [one for one in found if is_own(tags_of(one))]
    found = own or found
    if len(found) > 1:
        ids = ", ".join(sorted(one["VpcId"] for one in found))
        fix = "state another network, or delete the VPC that is not used"
        raise RoadError("vpc-ambiguous", f"several VPCs have the network {cidr}: {ids}", fix=fix, retryable=False)
    return found[0] if found else None


def name_in(value: Json) -> str | None:
    """Return the name of a regional resource that a reference means; None for what is no reference."""
    if not isinstance(value, Mapping) or _REFERENCE not in value:
        return None
    return str(value[_REFERENCE]).split("/", 2)[2]


def ids_or_names(values: Json) -> tuple[set[str], set[str]]:
    """Return the ids in a list, and the names of its references."""
    assert isinstance(values, Sequence)
    names = {name for name in map(name_in, values) if name is not None}
    return {one for one in values if isinstance(one, str)}, names
