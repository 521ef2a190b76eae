"""Collects what the EC2 API states of AMIs that instances were launched from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from whence_aggregator.ports import CollectedFact, Ec2Inventory
from whence_common.errors import InputError

_MEMBERS_CHARACTERS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AmiFinding(CollectedFact):
    """An AMI. One that AWS no longer shows was seen before, which another that it never showed was not."""

    def after(self, value: Mapping[str, Any], observed_at: str) -> CollectedFact:
        """Return the fact with whether AWS showed the AMI before."""
        if self.outcome == "found":
            return self
        seen = "name" in value or value.get("was_seen") is True
        return replace(self, value={**self.value, "was_seen": seen})


class AmiCollector:
    """Describes AMIs. The subject is `account/region/ami`, since an AMI may be shown to one account only."""

    def __init__(self, ec2: Ec2Inventory) -> None:
        self._ec2 = ec2

    async def collect(self, subject: str) -> CollectedFact:
        account_id, _, rest = subject.partition("/")
        region, _, image_id = rest.partition("/")
        if not account_id or not region or not image_id:
            raise InputError("ami-malformed", "not an AMI: write account/region/ami-…")
        found = await self._ec2.image(account_id, region, image_id)
        if found is None:
            return AmiFinding(
                outcome="missing", value={"was_seen": False}, reason="the EC2 API does not describe the AMI"
            )
        stated = {name: one for name, one in msgspec.structs.asdict(found).items() if one is not None}
        return AmiFinding(outcome="found", value=_cut(stated))


def _cut(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members with bounded texts: the owner of an AMI writes its name and tags."""
    return {
        name: one[:_MEMBERS_CHARACTERS_MAX] if isinstance(one, str) else one
        for name, one in stated.items()
    }  # fmt: skip
