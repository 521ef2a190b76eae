"""Resources of an account: what the configuration wants, what stands, and how values of others are referred to.

A resource has an address, `KIND/NAME` or `REGION/KIND/NAME`, and a state: JSON values by aspect. An aspect is what one
or few calls write together, such as the trust policy of a role. States hold no times, and sets are sorted lists.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
State: TypeAlias = Mapping[str, Json]

OWN_TAG = "whence:managed-by"
OWN_VALUE = "whence-accounts"
NAME_TAG = "whence:name"
"""The name in the address, of resources whose ids AWS chooses."""
_OF, _OUTPUT = "$of", "output"
_EMPTY: Mapping[str, Json] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceKind:
    """A kind of resource. `after` names the kinds that are written before it, and deleted after it."""

    name: str
    step: str
    """The step of the configuration that it belongs to; reports are per step."""
    reads: tuple[str, ...]
    """IAM actions that reading needs, such as `s3:GetBucketTagging`."""
    writes: tuple[str, ...]
    after: tuple[str, ...] = ()
    is_regional: bool = False
    fixed: tuple[str, ...] = ()
    """Aspects that AWS sets at creation only."""
    is_setting: bool = False
    """A setting of the account or region: it always exists, has no owner, and is neither created nor deleted."""
    keeps_data: bool = False
    """Deleted only where `--delete` names it: a bucket, a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedResource:
    """A resource as the configuration states it. Aspects that `state` does not have are left as they are.

    The aspects are written in the order of `state`. Values may refer to outputs of other resources, see `of`.
    """

    kind: ResourceKind
    name: str
    state: State
    region: str | None = None
    """None for resources of the whole account."""
    is_dropped: bool = False
    """The configuration says that the resource must not exist."""
    within: tuple[str, ...] = ()
    """Addresses of the resources that hold it. Nothing is written where one of them stands and is not our own."""
    is_verified: bool = False
    """It is compared only: what differs is a remark."""

    @property
    def address(self) -> str:
        return address_of(self.kind.name, self.name, self.region)


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingResource:
    """A resource as it was read. `state` has at least the aspects that were asked for; an absent value is None."""

    kind: ResourceKind
    name: str
    state: State
    region: str | None = None
    is_own: bool
    """It has our tag. Always true for settings."""
    outputs: Mapping[str, Json] = field(default_factory=lambda: _EMPTY)
    """Values that others refer to, and that AWS chooses: `id`, `arn`, `name_servers`."""
    foreign: tuple[str, ...] = ()
    """Parts that the configuration does not state and that are left alone, in words: `inline policy debug`.

    A resource of ours that has some is deleted only where `--delete` names it.
    """
    surplus: tuple[str, ...] = ()
    """Aspects of `state` that we wrote, by a mark of ours: they are removed where the configuration does not state
    them any more."""
    warnings: tuple[str, ...] = ()
    """What is wrong, and no call of ours can put right, in words."""

    @property
    def address(self) -> str:
        return address_of(self.kind.name, self.name, self.region)


def address_of(kind: str, name: str, region: str | None = None) -> str:
    """Return the address of a resource in its account."""
    return f"{region}/{kind}/{name}" if region is not None else f"{kind}/{name}"


def of(address: str, output: str) -> Json:
    """Return a value that stands for an output of another resource, which may not exist yet."""
    return {_OF: address, _OUTPUT: output}


def referred(value: Json) -> set[str]:
    """Return the addresses that a value refers to."""
    if isinstance(value, Mapping):
        if set(value) == {_OF, _OUTPUT}:
            return {str(value[_OF])}
        return set().union(*(referred(one) for one in value.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return set().union(*(referred(one) for one in value))
    return set()


def resolved(value: Json, outputs: Mapping[str, Mapping[str, Json]]) -> Json:
    """Return a value with each reference replaced by the output, by address; unknown references stay.

    A list of references is a set: it is sorted once all of them are known.
    """
    if isinstance(value, Mapping):
        if set(value) == {_OF, _OUTPUT}:
            known = outputs.get(str(value[_OF]), {})
            return known.get(str(value[_OUTPUT]), value)
        return {name: resolved(one, outputs) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        known_items = [resolved(one, outputs) for one in value]
        is_set = any(isinstance(one, Mapping) and set(one) == {_OF, _OUTPUT} for one in value)
        return sorted(known_items, key=str) if is_set and not referred(known_items) else known_items
    return value


def own_tags(name: str | None = None, tags: Mapping[str, str] | None = None) -> dict[str, Json]:
    """Return the tags of a resource of ours; `name` for one whose id AWS chooses."""
    named = {NAME_TAG: name} if name is not None else {}
    return dict(sorted({**(tags or {}), **named, OWN_TAG: OWN_VALUE}.items()))


def is_own(tags: Mapping[str, str]) -> bool:
    return tags.get(OWN_TAG) == OWN_VALUE


def seen_tags(tags: Mapping[str, str], wanted: WantedResource | None) -> dict[str, Json]:
    """Return the tags that are compared: those that the configuration states. Tags of others are left alone."""
    stated = wanted.state.get("tags") if wanted is not None else None
    names = set(stated) if isinstance(stated, Mapping) else set(tags)
    return {name: tags[name] for name in sorted(names & set(tags))}


def unowned(tags: Mapping[str, Json]) -> dict[str, Json]:
    """Return tags without ours, as a configuration states them."""
    return {name: value for name, value in tags.items() if name not in (OWN_TAG, NAME_TAG)}
