"""What was found in an account for `import`, and what a step states of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from whence_aggregator.accounts.account import ConfiguredAccount, Target
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.difference import differs
from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, resolved, unowned
from whence_common.errors import InputError

_NOTHING: Mapping[str, Json] = MappingProxyType({})
_BY_AWS = "aws:"
_PARTS = ("policy", "lifecycle")
"""Aspects that are compared part by part: parts of others stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportNote:
    """What the configuration does not state, or not as it stands, and why, in words. `key` is the section's key."""

    key: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedSection:
    """The part of an account's section that a step states, and notes on what it cannot state."""

    section: Mapping[str, Json] = field(default_factory=lambda: _NOTHING)
    notes: tuple[ImportNote, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundAccount:
    """What stands in the regions of an account, whoever made it. `unread` are kinds of which not all could be read."""

    target: Target
    standing: tuple[StandingResource, ...]
    unread: frozenset[str] = frozenset()

    @property
    def regions(self) -> tuple[str, ...]:
        return self.target.regions

    def of(self, *kinds: str, region: str | None = None) -> list[StandingResource]:
        """Return what stands of these kinds, by their names; in all regions by default."""
        return [
            one for one in self.standing if one.kind.name in kinds and (region is None or one.region == region)
        ]  # fmt: skip

    def is_read(self, *kinds: str) -> bool:
        """Return whether all of these kinds was read: what is not found of them does not stand."""
        return not self.unread & set(kinds)

    def account(self, section: Mapping[str, Json]) -> ConfiguredAccount:
        """Return the account with these keys in its section. Raises InputError for values that no section has."""
        about = {"id": self.target.account_id, "regions": list(self.regions), "alias": None, **_filled(section)}
        try:
            settings = msgspec.convert(msgspec.to_builtins(about), AccountSettings)
        except msgspec.ValidationError as exc:
            raise InputError("import-unstatable", str(exc)[:1_000], fix="state it by hand") from exc
        return ConfiguredAccount(name=self.target.name, account_id=self.target.account_id, settings=settings)

    def refusal(
        self, section: Mapping[str, Json], wanted: Callable[[ConfiguredAccount], Sequence[WantedResource]]
    ) -> str | None:
        """Return why a step refuses a section, in words; None for one that it accepts."""
        try:
            wanted(self.account(section))
        except InputError as exc:
            return exc.message
        return None

    def differing(self, wanted: Sequence[WantedResource]) -> dict[str, tuple[str, ...]]:
        """Return resources that do not stand as they are wanted, with their aspects; those that do not stand have none.

        Tags are not compared: until a resource is adopted it lacks ours.
        """
        stands = {one.address: one for one in self.standing}
        outputs = {address: one.outputs for address, one in stands.items()}
        found: dict[str, tuple[str, ...]] = {}
        for one in wanted:
            standing = stands.get(one.address)
            if standing is None:
                found[one.address] = ()
            elif aspects := _differing(one, standing, outputs):
                found[one.address] = aspects
        return found


def stated_tags(tags: Json, *, without: Sequence[str] = ()) -> dict[str, Json]:
    """Return tags as a configuration states them: without ours, those that AWS sets, and those named."""
    assert isinstance(tags, Mapping)
    return {name: value for name, value in unowned(tags).items() if not (name in without or name.startswith(_BY_AWS))}


def _differing(
    wanted: WantedResource, standing: StandingResource, outputs: Mapping[str, Mapping[str, Json]]
) -> tuple[str, ...]:
    found = []
    for aspect, value in wanted.state.items():
        known, stands = resolved(value, outputs), standing.state.get(aspect)
        if aspect in _PARTS and isinstance(known, Mapping) and isinstance(stands, Mapping):
            stands = {name: stands.get(name) for name in known}
        if aspect != "tags" and differs(known, stands):
            found.append(aspect)
    return tuple(found)


def _filled(section: Mapping[str, Json]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if value is not None}
