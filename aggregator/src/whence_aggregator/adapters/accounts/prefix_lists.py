"""Managed prefix lists, by EC2. A list is found by its name.

AWS counts the size of a list, not its entries, as rules of every group that refers to it: a list is no larger than it
has to be. Each change makes a new version, and none is accepted before the last one is complete.

The description of an entry changes only with the entry, which would cut its network off for a moment: descriptions are
written with new entries, and not compared. The name is sent with every change, because moto forgets it otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.security_groups import PREFIX_LIST
from whence_aggregator.adapters.accounts.network_reads import Item, matched, put_tags, tagged, tags_of
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list
from whence_common.errors import RoadError

_ENTRIES_AT_ONCE = 100
_READY_TRIES = 5
_READY_PAUSE_SECONDS = 1.0


class PrefixListProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        ec2 = await self._place.client("ec2")
        lists = await own_prefix_lists(ec2, self._place.account_id)
        found = matched(wanted, lists, lambda one, item: item["PrefixListName"] == one.name)
        return [await self._standing(ec2, *one) for one in found]

    async def find(self) -> Sequence[StandingResource]:
        """Return the account's own lists by name, with the descriptions of their entries."""
        ec2 = await self._place.client("ec2")
        lists = await own_prefix_lists(ec2, self._place.account_id)
        named = [(WantedResource(kind=PREFIX_LIST, name=one["PrefixListName"], state={}), one) for one in lists]
        return [await self._standing(ec2, asked.name, asked, one) for asked, one in named]

    async def _standing(self, ec2: Any, name: str, wanted: WantedResource | None, found: Item) -> StandingResource:
        state: dict[str, Json] = {"tags": seen_tags(tags_of(found), wanted), "family": found["AddressFamily"]}
        if wanted is not None:
            stated = wanted.state.get("entries")
            names = stated if isinstance(stated, Mapping) else {}
            entries = await self._entries(ec2, found["PrefixListId"])
            state["entries"] = {one: names.get(one, description) for one, description in entries.items()}
        return StandingResource(
            kind=PREFIX_LIST, name=name, region=self._place.region, state=state, is_own=is_own(tags_of(found)),
            outputs={"id": found["PrefixListId"]},
        )  # fmt: skip

    async def _entries(self, ec2: Any, identity: str) -> dict[str, Json]:
        entries = await whole_list(ec2, "get_managed_prefix_list_entries", "Entries", PrefixListId=identity)
        return {one["Cidr"]: one.get("Description", "") for one in sorted(entries, key=lambda each: str(each["Cidr"]))}

    async def create(self, wanted: WantedResource) -> None:
        ec2 = await self._place.client("ec2")
        entries = wanted.state["entries"]
        assert isinstance(entries, Mapping)
        answer = await ec2.create_managed_prefix_list(
            PrefixListName=wanted.name, AddressFamily=wanted.state["family"], MaxEntries=len(entries),
            Entries=_listed(entries, list(entries)[:_ENTRIES_AT_ONCE]),
            TagSpecifications=tagged("prefix-list", wanted.state["tags"]),
        )  # fmt: skip
        await self._ready(ec2, answer["PrefixList"]["PrefixListId"])

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        ec2 = await self._place.client("ec2")
        identity = str(standing.outputs["id"])
        if aspect == "tags":
            await put_tags(ec2, identity, value)
        else:
            assert isinstance(value, Mapping)
            await self._put_entries(ec2, identity, value)

    async def _put_entries(self, ec2: Any, identity: str, wanted: Mapping[str, Json]) -> None:
        found = await self._ready(ec2, identity)
        name = found["PrefixListName"]
        if len(wanted) > int(found.get("MaxEntries") or 0):
            await ec2.modify_managed_prefix_list(PrefixListId=identity, PrefixListName=name, MaxEntries=len(wanted))
        stands = await self._entries(ec2, identity)
        removed = [one for one in stands if one not in wanted]
        added = [one for one in wanted if one not in stands]
        for few in _parts(removed):
            await self._modify(ec2, identity, RemoveEntries=[{"Cidr": one} for one in few])
        for few in _parts(added):
            await self._modify(ec2, identity, AddEntries=_listed(wanted, few))

    async def _modify(self, ec2: Any, identity: str, **entries: Any) -> None:
        found = await self._ready(ec2, identity)
        await ec2.modify_managed_prefix_list(
            PrefixListId=identity, PrefixListName=found["PrefixListName"], CurrentVersion=found["Version"], **entries
        )

    async def _ready(self, ec2: Any, identity: str) -> Item:
        """Return a list that AWS is not changing. Raises RoadError where that takes longer than a few seconds."""
        for attempt in range(_READY_TRIES):
            lists = await whole_list(ec2, "describe_managed_prefix_lists", "PrefixLists", PrefixListIds=[identity])
            if lists and str(lists[0]["State"]).endswith("-complete"):
                return lists[0]
            if attempt + 1 < _READY_TRIES:
                await asyncio.sleep(_READY_PAUSE_SECONDS)
        raise RoadError("account-unsettled", f"AWS is still changing the prefix list {identity}", fix="apply again")

    async def delete(self, standing: StandingResource) -> None:
        ec2 = await self._place.client("ec2")
        await ec2.delete_managed_prefix_list(PrefixListId=standing.outputs["id"])


async def own_prefix_lists(ec2: Any, account_id: str) -> list[Item]:
    """Return the account's own lists: neither AWS's, nor those that other accounts share."""
    lists = await whole_list(ec2, "describe_managed_prefix_lists", "PrefixLists")
    return [
        one for one in lists if one.get("OwnerId") == account_id and not str(one.get("State")).startswith("delete")
    ]  # fmt: skip


def _parts(networks: Sequence[str]) -> list[Sequence[str]]:
    return [networks[at : at + _ENTRIES_AT_ONCE] for at in range(0, len(networks), _ENTRIES_AT_ONCE)]


def _listed(entries: Mapping[str, Json], networks: Sequence[str]) -> list[dict[str, Json]]:
    return [{"Cidr": one, "Description": entries[one]} for one in networks]
