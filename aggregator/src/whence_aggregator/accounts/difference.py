"""Compare what is wanted with what stands: changes and remarks, in order. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from whence_aggregator.accounts.canonical import canonical_json
from whence_aggregator.accounts.plan import PlannedChange, Remark
from whence_aggregator.accounts.resources import (
    Json,
    ResourceKind,
    StandingResource,
    State,
    WantedResource,
    referred,
    resolved,
)
from whence_common.errors import InputError

_OF_PATTERNS = re.compile(r"[*?[]")
UNNAMED_DELETIONS_MAX = 10
"""In one account, of resources that the configuration no longer states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What the caller named: shell patterns of addresses whose foreign resources may be changed, or deleted."""

    adopt: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()

    def may_adopt(self, address: str) -> bool:
        return any(fnmatchcase(address, one) for one in self.adopt)

    def may_delete(self, address: str) -> bool:
        return any(fnmatchcase(address, one) for one in self.delete)


def exactly(address: str) -> str:
    """Return the shell pattern that matches this address alone: that of a certificate may have an asterisk."""
    return _OF_PATTERNS.sub(r"[\g<0>]", address)


def names_nothing(pattern: str, addresses: Iterable[str]) -> bool:
    """Return whether a shell pattern of `--adopt` or `--delete` matches none of the addresses."""
    return not any(fnmatchcase(one, pattern) for one in addresses)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedAccount:
    """The changes in the order in which they are applied, and the remarks."""

    changes: tuple[PlannedChange, ...]
    remarks: tuple[Remark, ...]


def differs(wanted: Json, standing: Json) -> bool:
    return canonical_json(wanted) != canonical_json(standing)


def compare(
    wanted: Sequence[WantedResource], standing: Sequence[StandingResource], allowed: Allowed, unread: frozenset[str]
) -> ComparedAccount:
    """Compare the resources of one account.

    `unread` has addresses of which nothing is known: neither they nor what refers to them is changed.
    """
    stands = {one.address: one for one in standing}
    outputs = {address: one.outputs for address, one in stands.items()}
    states = {one.address: one for one in wanted}
    changes: dict[str, PlannedChange] = {}
    remarks: list[Remark] = []
    for one in (each for each in states.values() if each.address not in unread):
        found = _compare_one(one, stands.get(one.address), outputs, allowed)
        if isinstance(found, PlannedChange):
            found = _held(one, found, stands, allowed, unread) or found
        if isinstance(found, PlannedChange):
            changes[found.address] = found
        elif found is not None:
            remarks.append(found)
    remarks += _without_what_they_need(changes, stands)
    verified = {(one.kind.step, one.region) for one in wanted if one.is_verified}
    leftover = [one for one in standing if one.address not in states and one.is_own and not one.kind.is_setting]
    stated, too_many = {one.kind.step for one in wanted}, _too_many(leftover, allowed)
    for left in leftover:
        found = _removal(left, allowed, by_word=False)
        unnamed = too_many if left.kind.step in stated else f"it states nothing of the step {left.kind.step}"
        if unnamed and isinstance(found, PlannedChange) and not allowed.may_delete(left.address):
            found = _kept(left, f"the configuration no longer states it, but {unnamed}")
        if (left.kind.step, left.region) in verified:
            message = "the configuration no longer states it, and its step is only verified: not deleted"
            found = Remark(address=left.address, step=left.kind.step, kind="kept", message=message)
        if isinstance(found, PlannedChange):
            changes[found.address] = found
        else:
            remarks.append(found)
    remarks += [
        Remark(address=one.address, step=one.kind.step, kind="foreign", message=f"{part} is left as it is")
        for one in standing if one.address not in changes or changes[one.address].action != "delete"
        for part in one.foreign
    ]  # fmt: skip
    remarks += [
        Remark(address=one.address, step=one.kind.step, kind="warning", message=message)
        for one in standing for message in one.warnings
    ]  # fmt: skip
    kinds = {one.address: one.kind for one in wanted} | {one.address: one.kind for one in standing}
    ordered = _ordered(list(changes.values()), kinds)
    return ComparedAccount(changes=tuple(ordered), remarks=tuple(remarks))


def _compare_one(
    wanted: WantedResource, stands: StandingResource | None, outputs: Mapping[str, State], allowed: Allowed
) -> PlannedChange | Remark | None:
    if wanted.is_dropped:
        return _removal(stands, allowed, by_word=True) if stands is not None else None
    state = {aspect: resolved(value, outputs) for aspect, value in wanted.state.items()}
    if stands is None:
        return _verified(wanted, "it does not exist") or _change(wanted, "create", None, state)
    state = {**{aspect: None for aspect in stands.surplus if aspect not in state}, **state}
    missing = {aspect: value for aspect, value in state.items() if differs(value, stands.state.get(aspect))}
    if not missing:
        return None
    if wanted.is_verified:
        return _verified(wanted, f"it differs in {', '.join(missing)}")
    if fixed := [aspect for aspect in missing if aspect in wanted.kind.fixed]:
        named = f"--delete '{exactly(wanted.address)}'"
        fix = f"delete it with {named} after removing it from the configuration, then add it again"
        message = f"AWS cannot change {', '.join(fixed)} of what exists: not changed"
        return Remark(address=wanted.address, step=wanted.kind.step, kind="kept", message=message, fix=fix)
    if not stands.is_own and not allowed.may_adopt(wanted.address):
        fix = f"name it with --adopt '{exactly(wanted.address)}' to change {', '.join(missing)}"
        message = f"it exists without our tag and differs in {', '.join(missing)}: not changed"
        return Remark(address=wanted.address, step=wanted.kind.step, kind="foreign", message=message, fix=fix)
    return _change(wanted, "update", {aspect: stands.state.get(aspect) for aspect in missing}, missing)


def _verified(wanted: WantedResource, what: str) -> Remark | None:
    """Return the remark in place of a change of a resource that is compared only; None for any other."""
    message = f"{what}, and is only verified: not changed"
    remark = Remark(address=wanted.address, step=wanted.kind.step, kind="foreign", message=message)
    return remark if wanted.is_verified else None


def _held(
    wanted: WantedResource,
    change: PlannedChange,
    stands: Mapping[str, StandingResource],
    allowed: Allowed,
    unread: frozenset[str],
) -> Remark | None:
    """Return the remark in place of a change in a resource that is foreign, or of which nothing is known.

    Nothing is known either of what a change refers to if that could not be read.
    """
    what = f"{change.action} is not planned"
    referenced = referred(dict(wanted.state)) - set(wanted.within)
    for holder in (*wanted.within, *sorted(referenced)):
        found = stands.get(holder)
        if holder in unread:
            message = f"{what}: {holder} could not be read"
            return Remark(address=wanted.address, step=wanted.kind.step, kind="unread", message=message)
        if holder in wanted.within and found is not None and not found.is_own and not allowed.may_adopt(holder):
            message, fix = (
                f"{what}: {holder} is not our own",
                f"name it with --adopt '{exactly(holder)}' to change what is in it",
            )
            return Remark(address=wanted.address, step=wanted.kind.step, kind="foreign", message=message, fix=fix)
    return None


def _without_what_they_need(changes: dict[str, PlannedChange], stands: Mapping[str, StandingResource]) -> list[Remark]:
    """Take out changes that need what neither stands nor is written, such as subnets of a VPC of others."""
    remarks: list[Remark] = []
    while True:
        lacking = {
            one.address: [each for each in one.requires if each not in stands and each not in changes]
            for one in changes.values()
        }
        lacking = {address: missing for address, missing in lacking.items() if missing}
        if not lacking:
            return remarks
        for address, missing in lacking.items():
            change = changes.pop(address)
            message = f"{change.action} is not planned: {missing[0]} does not exist, and is not created by this plan"
            fix = f"see the remarks about {missing[0]} and what it is in"
            remarks.append(Remark(address=address, step=change.step, kind="foreign", message=message, fix=fix))


def _change(wanted: WantedResource, action: Any, before: State | None, after: State) -> PlannedChange:
    return PlannedChange(
        address=wanted.address, step=wanted.kind.step, action=action, requires=tuple(sorted(referred(dict(after)))),
        before=msgspec.to_builtins(before), after=msgspec.to_builtins(dict(after)),
    )  # fmt: skip


def _removal(stands: StandingResource, allowed: Allowed, *, by_word: bool) -> PlannedChange | Remark:
    is_named = allowed.may_delete(stands.address)
    if is_named or (stands.is_own and not stands.kind.keeps_data and not stands.foreign):
        before = msgspec.to_builtins(dict(stands.state))
        return PlannedChange(address=stands.address, step=stands.kind.step, action="delete", before=before, after=None)
    why = "the configuration drops it" if by_word else "the configuration no longer states it"
    reason = "it is not our own"
    if stands.is_own:
        reason = "it may hold data" if stands.kind.keeps_data else f"it has {', '.join(stands.foreign)}"
    return _kept(stands, f"{why}, but {reason}")


def _kept(stands: StandingResource, why: str) -> Remark:
    return Remark(
        address=stands.address, step=stands.kind.step, kind="kept", message=f"{why[:1_900]}: not deleted",
        fix=f"name it with --delete '{exactly(stands.address)}' to delete it",
    )  # fmt: skip


def _too_many(leftover: Sequence[StandingResource], allowed: Allowed) -> str:
    """Return why nothing that the configuration no longer states is deleted without its name; empty if it may be.

    Two configurations of one account have the same tag. To the other one, or to a section that lost its content, what
    stands looks left over; for the same reason a step of which nothing is stated deletes nothing.
    """
    deleted = [one for one in leftover if isinstance(_removal(one, allowed, by_word=False), PlannedChange)]
    count = sum(not allowed.may_delete(one.address) for one in deleted)
    return f"{count} resources would go without being named" if count > UNNAMED_DELETIONS_MAX else ""


def _ordered(changes: Sequence[PlannedChange], kinds: Mapping[str, ResourceKind]) -> list[PlannedChange]:
    """Return deletions of last things first, then the rest by kind and reference. Raises InputError for a circle."""
    removed = [one for one in changes if one.action == "delete"]
    written = [one for one in changes if one.action != "delete"]
    rank = kind_ranks({one.name: one for one in kinds.values()}.values())
    by_kind: Callable[[PlannedChange], tuple[int, str]] = lambda one: (rank[kinds[one.address].name], one.address)  # noqa: E731
    return [*_by_reference(sorted(written, key=by_kind)), *sorted(removed, key=by_kind, reverse=True)]


def kind_ranks(kinds: Iterable[ResourceKind]) -> dict[str, int]:
    """Return the place of each kind in the order of `after`. Raises InputError for a circle."""
    known = {one.name: one for one in kinds}
    rank: dict[str, int] = {}

    def place(name: str, above: tuple[str, ...]) -> int:
        if name in above:
            raise InputError("accounts-circle", f"steps wait for each other: {' → '.join((*above, name))}")
        if name not in rank:
            before = [place(one, (*above, name)) for one in known[name].after if one in known]
            rank[name] = 1 + max(before, default=0)
        return rank[name]

    for name in known:
        place(name, ())
    return rank


def _by_reference(changes: Sequence[PlannedChange]) -> list[PlannedChange]:
    """Return changes so that each follows those that it refers to, and otherwise in the order given."""
    waiting = {one.address: one for one in changes}
    done: dict[str, PlannedChange] = {}

    def place(one: PlannedChange, above: tuple[str, ...]) -> None:
        if one.address in above:
            raise InputError("accounts-circle", f"resources wait for each other: {' → '.join((*above, one.address))}")
        for address in one.requires:
            if address in waiting and address not in done:
                place(waiting[address], (*above, one.address))
        done.setdefault(one.address, one)

    for one in changes:
        place(one, ())
    return list(done.values())
