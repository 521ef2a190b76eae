"""KMS keys of one region, by alias or by our tags."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from whence_aggregator.accounts.canonical import policy
from whence_aggregator.accounts.resources import NAME_TAG, Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.keys import KEY, alias_of, key_name
from whence_aggregator.adapters.accounts.answers import tag_list, tags_of
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_AT_ONCE = 8
_DELETION_DAYS = 30
"""The longest that AWS offers: until then the deletion can be cancelled."""
_TAG = ("TagKey", "TagValue")
_DELETED = "PendingDeletion"
_SYMMETRIC = "SYMMETRIC_DEFAULT"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A key of the account: its tags, and the aliases that refer to it."""

    key_id: str
    tags: Mapping[str, str]
    aliases: frozenset[str]

    @property
    def name(self) -> str:
        return self.tags.get(NAME_TAG, self.key_id)


class KeyProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        kms = await self._place.client("kms")
        keys = await self._keys(kms)
        by_alias = {alias: one for one in keys for alias in one.aliases}
        found: dict[str, tuple[_Seen, WantedResource]] = {}
        for one in wanted:
            named = [key for key in keys if is_own(key.tags) and key.name == one.name]
            aliased = by_alias.get(alias_of(one.name))
            if named or aliased is not None:
                chosen = aliased if aliased is not None and (aliased in named or not named) else named[0]
                found[chosen.key_id] = chosen, one
        taken = {one.name for _, one in found.values()}
        others = [one for one in keys if is_own(one.tags) and one.key_id not in found]
        standing = await asyncio.gather(
            *(self._standing(kms, seen, one, by_alias) for seen, one in found.values()),
            *(self._left(kms, one, one.key_id if one.name in taken else one.name) for one in others),
        )
        return [one for one in standing if one is not None]

    async def find(self) -> Sequence[StandingResource]:
        """Return the keys that have an alias, by their first alias."""
        kms = await self._place.client("kms")
        asked = dict.fromkeys(("policy", "rotation"))
        keys = [(min(one.aliases), one) for one in await self._keys(kms) if one.aliases]
        found = await asyncio.gather(
            *(
                self._standing(kms, one, WantedResource(kind=KEY, name=key_name(alias), state=asked), {alias: one})
                for alias, one in keys
            )
        )
        return [one for one in found if one is not None]

    async def create(self, wanted: WantedResource) -> None:
        """Create the key without its alias: the alias is refused when it exists, and the key is found by its tags."""
        kms = await self._place.client("kms")
        state: Mapping[str, Any] = wanted.state
        stated = {
            **({"Policy": json.dumps(state["policy"])} if "policy" in state else {}),
            **({"Description": state["description"]} if "description" in state else {}),
        }
        await kms.create_key(
            KeyUsage=state["use"]["usage"], KeySpec=state["use"]["spec"], Tags=tag_list(state["tags"], *_TAG), **stated
        )  # fmt: skip

    async def put(self, standing: StandingResource, aspect: str, value: Any) -> None:
        kms, key = await self._place.client("kms"), str(standing.outputs["id"])
        match aspect:
            case "tags":
                await kms.tag_resource(KeyId=key, Tags=tag_list(value, *_TAG))
            case "alias":
                await kms.create_alias(AliasName=value, TargetKeyId=key)
            case "policy":
                await kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(value))
            case "description":
                await kms.update_key_description(KeyId=key, Description=value)
            case "rotation":
                await (kms.enable_key_rotation if value else kms.disable_key_rotation)(KeyId=key)
            case "enabled":
                if (await kms.describe_key(KeyId=key))["KeyMetadata"]["KeyState"] == _DELETED:
                    await kms.cancel_key_deletion(KeyId=key)
                await kms.enable_key(KeyId=key)
            case _:
                raise AssertionError(f"AWS cannot change {aspect}")

    async def delete(self, standing: StandingResource) -> None:
        """Schedule the deletion, in 30 days; AWS deletes the alias with the key."""
        kms, key = await self._place.client("kms"), str(standing.outputs["id"])
        await kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=_DELETION_DAYS)

    async def _keys(self, kms: Any) -> Sequence[_Seen]:
        """Return the account's own keys, sorted by id, without those that AWS manages."""
        aliases: dict[str, set[str]] = {}
        for one in await whole_list(kms, "list_aliases", "Aliases"):
            if "TargetKeyId" in one:
                aliases.setdefault(one["TargetKeyId"], set()).add(one["AliasName"])
        ids = [one["KeyId"] for one in await whole_list(kms, "list_keys", "Keys")]
        managed = {key for key, names in aliases.items() if any(one.startswith("alias/aws/") for one in names)}
        own = sorted(set(ids) - managed)
        tags = await asyncio.gather(*(self._tags(kms, key) for key in own))
        return [
            _Seen(key_id=key, tags=found, aliases=frozenset(aliases.get(key, ())))
            for key, found in zip(own, tags, strict=True)
        ]

    async def _tags(self, kms: Any, key: str) -> Mapping[str, str]:
        """Return the tags of a key; none if the key's own policy shuts the account out: it is not ours, then."""
        async with self._at_once:
            try:
                return tags_of(await whole_list(kms, "list_resource_tags", "Tags", KeyId=key), *_TAG)
            except ClientError as exc:
                if not _is_shut_out(exc):
                    raise
        return {}

    async def _standing(
        self, kms: Any, seen: _Seen, wanted: WantedResource, by_alias: Mapping[str, _Seen]
    ) -> StandingResource | None:
        async with self._at_once:
            about = (await kms.describe_key(KeyId=seen.key_id))["KeyMetadata"]
            if about["KeyState"] == _DELETED and "enabled" not in wanted.state:
                return None
            alias = alias_of(wanted.name)
            state: dict[str, Json] = {
                "use": {"usage": about.get("KeyUsage", "ENCRYPT_DECRYPT"), "spec": about.get("KeySpec", _SYMMETRIC)},
                "tags": seen_tags(seen.tags, wanted),
                "alias": alias if alias in seen.aliases else None,
                "description": about.get("Description", ""),
            }
            if "enabled" in wanted.state:
                state["enabled"] = about["KeyState"] not in ("Disabled", _DELETED)
            if "policy" in wanted.state:
                answer = await kms.get_key_policy(KeyId=seen.key_id, PolicyName="default")
                state["policy"] = policy(answer["Policy"])
            if "rotation" in wanted.state and about.get("KeySpec", _SYMMETRIC) == _SYMMETRIC:
                state["rotation"] = (await kms.get_key_rotation_status(KeyId=seen.key_id))["KeyRotationEnabled"]
        holder = by_alias.get(alias)
        foreign = (f"{alias} of the key {holder.key_id}",) if holder is not None and holder != seen else ()
        return StandingResource(
            kind=KEY, name=wanted.name, region=self._place.region, state=state, is_own=is_own(seen.tags),
            outputs=_outputs(about), foreign=foreign,
        )  # fmt: skip

    async def _left(self, kms: Any, seen: _Seen, name: str) -> StandingResource | None:
        async with self._at_once:
            about = (await kms.describe_key(KeyId=seen.key_id))["KeyMetadata"]
        if about["KeyState"] == _DELETED:
            return None
        state = {"description": about.get("Description", "")}
        return StandingResource(
            kind=KEY, name=name, region=self._place.region, state=state, is_own=True, outputs=_outputs(about)
        )  # fmt: skip


def _outputs(about: Mapping[str, Any]) -> dict[str, Json]:
    return {"id": about["KeyId"], "arn": about["Arn"]}


def _is_shut_out(exc: ClientError) -> bool:
    """Return whether a key's policy, not the caller's, denies it; IAM's messages state which policy it was."""
    error = exc.response.get("Error", {})
    return error.get("Code") == "AccessDeniedException" and "resource-based policy" in error.get("Message", "")
