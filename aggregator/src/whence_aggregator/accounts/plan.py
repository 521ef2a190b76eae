"""A plan: what an apply changes, and the state that it was made against. A file that people can read.

The format is version 1 of Whence's own: JSON with sorted keys, whose `digest` covers everything else in it. A plan
contains no times except `made_at`, and no secrets: no step reads one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from whence_aggregator.accounts.account import Target
from whence_aggregator.accounts.canonical import digest_of
from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_common.errors import InputError, one_line

PLAN_BYTES_MAX = 64 * 1024 * 1024
RESOURCES_MAX = 200_000
"""Changes, resources and remarks of all accounts of a plan."""
_FORMAT = "whence-account-plan/"
_DEPTH_MAX = 100
ChangeAction = Literal["create", "update", "delete"]
_Text = Annotated[str, Meta(max_length=2_000)]


class RecordedResource(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A resource as it stood: the aspects that the plan concerns, the outputs, and whether it is our own."""

    address: _Text
    state: dict[str, Any]
    outputs: dict[str, Any]
    own: bool


class PlannedChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change. `before` is absent for a creation, `after` for a deletion; both have the aspects that differ.

    A value of `after` may refer to an output of a resource that the plan creates.
    """

    address: _Text
    step: _Text
    action: ChangeAction
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    requires: tuple[_Text, ...] = ()
    """Addresses whose changes come first."""


class Remark(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the plan does not change, and why.

    foreign: it is not our own. kept: a deletion that nobody named, or an aspect that AWS cannot change. unread: it
    could not be read, so nothing is known. unsearched: nothing of this kind is configured, and leftovers could not be
    searched. warning: it is wrong, and no change of a plan can put it right.
    """

    address: _Text
    step: _Text
    kind: Literal["foreign", "kept", "unread", "unsearched", "warning"]
    message: _Text
    fix: _Text = ""


class AccountPlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plan of one account: changes in the order in which they are applied."""

    account: _Text
    account_id: Annotated[str, Meta(pattern=r"^[0-9]{12}$")]
    access: AccountAccess
    regions: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^[a-z]{2,4}(-[a-z0-9]{1,20}){1,5}$")], ...], Meta(min_length=1)
    ]
    alias: _Text | None
    changes: tuple[PlannedChange, ...]
    standing: tuple[RecordedResource, ...]
    remarks: tuple[Remark, ...]

    @property
    def target(self) -> Target:
        return Target(
            name=self.account, account_id=self.account_id, access=self.access, regions=self.regions, alias=self.alias
        )

    @property
    def is_whole(self) -> bool:
        return not any(one.kind == "unread" for one in self.remarks)


class PlanFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan of accounts."""

    format: Literal["whence-account-plan/1"] = "whence-account-plan/1"
    made_at: _Text
    configuration: _Text
    """Digest of the configuration's bytes."""
    flags: tuple[_Text, ...] = ()
    """What was allowed: `--adopt ROLE/x`, `--delete ROLE/x`."""
    accounts: tuple[AccountPlan, ...]

    @property
    def digest(self) -> str:
        return digest_of(msgspec.to_builtins(self))

    @property
    def is_converged(self) -> bool:
        return not any(one.changes for one in self.accounts)


class PlanInvalid(InputError):
    """A plan file that is damaged, of another version, or was altered."""


def encode_plan(plan: PlanFile) -> bytes:
    """Return the file of a plan, with its digest."""
    document = {**msgspec.to_builtins(plan), "digest": plan.digest}
    return json.dumps(document, indent=1, sort_keys=False, ensure_ascii=False).encode() + b"\n"


def check_size(plan: PlanFile, content: bytes) -> None:
    """Raise InputError for a plan that could not be read again."""
    if len(content) > PLAN_BYTES_MAX or _parts(plan) > RESOURCES_MAX:
        message = f"the plan has more than {PLAN_BYTES_MAX} bytes, or more than {RESOURCES_MAX} resources and remarks"
        raise InputError("plan-too-large", message, fix="plan fewer accounts at once: name them by a pattern")


def decode_plan(content: bytes, *, name: str) -> PlanFile:
    """Return the plan of a file. Raises PlanInvalid, also when its digest does not fit its content."""
    fix = "make a new plan with whence-accounts plan"
    if len(content) > PLAN_BYTES_MAX:
        raise PlanInvalid("plan-too-large", f"{name} is larger than {PLAN_BYTES_MAX} bytes", fix=fix)
    try:
        document = msgspec.json.decode(content)
        if _is_deeper(document, _DEPTH_MAX):
            raise PlanInvalid("plan-invalid", f"{name} is not a plan: it is nested too deeply", fix=fix)
        _check_format(document, name)
        stated = document.pop("digest", None) if isinstance(document, dict) else None
        plan = msgspec.convert(document, PlanFile)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as exc:
        raise PlanInvalid("plan-invalid", f"{name} is not a plan: {one_line(str(exc))}", fix=fix) from exc
    if _parts(plan) > RESOURCES_MAX:
        raise PlanInvalid("plan-too-large", f"{name} has more than {RESOURCES_MAX} resources and remarks", fix=fix)
    if stated != plan.digest:
        raise PlanInvalid("plan-altered", f"{name} was altered: its digest does not fit its content", fix=fix)
    if len({one.account_id for one in plan.accounts}) < len(plan.accounts):
        raise PlanInvalid("plan-invalid", f"{name} is not a plan: an account occurs twice", fix=fix)
    for account in plan.accounts:
        if len({one.address for one in account.changes}) < len(account.changes):
            message = f"{name} is not a plan: a resource of account {account.account_id} is changed twice"
            raise PlanInvalid("plan-invalid", message, fix=fix)
    return plan


def _check_format(document: Any, name: str) -> None:
    stated = document.get("format") if isinstance(document, dict) else None
    if isinstance(stated, str) and stated.startswith(_FORMAT) and stated != f"{_FORMAT}1":
        message = f"{name} is a plan of the format {one_line(stated, 60)}, which this version does not read"
        fix = "apply it with the version of whence-accounts that made it, or make a new plan"
        raise PlanInvalid("plan-version", message, fix=fix)


def _parts(plan: PlanFile) -> int:
    return sum(len(one.changes) + len(one.standing) + len(one.remarks) for one in plan.accounts)


def _is_deeper(value: Any, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)


def recorded_by_address(plan: AccountPlan) -> Mapping[str, RecordedResource]:
    return {one.address: one for one in plan.standing}
