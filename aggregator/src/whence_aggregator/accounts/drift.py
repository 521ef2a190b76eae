"""Drift: what differs in an account from its declared configuration, as the fact that the log keeps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct, to_builtins

from whence_aggregator.accounts.plan import AccountPlan, PlannedChange, Remark
from whence_aggregator.accounts.shown import change_lines
from whence_common.errors import one_line

CHANGES_NAMED_MAX = 30
_LINES_MAX = 5
_LINE_CHARACTERS_MAX = 200
_UNREAD_NAMED_MAX = 20
_Text = Annotated[str, Meta(max_length=2_000)]


class DriftDoer(Struct, frozen=True, kw_only=True):
    """Who changed a resource last, by CloudTrail. `reason` states why it is not known."""

    at: str = ""
    event: str = ""
    event_id: str = ""
    by: str = ""
    """The principal, as CloudTrail names it."""
    reason: str = ""


class DriftedResource(Struct, frozen=True, kw_only=True):
    """A resource that an apply would write. `lines` are the first differences, for people."""

    address: _Text
    step: _Text
    action: str
    aspects: tuple[str, ...]
    lines: tuple[str, ...]
    doer: DriftDoer | None = None


class UnreadPart(Struct, frozen=True, kw_only=True):
    """A kind of resource that could not be read."""

    address: _Text
    reason: _Text


class AccountDrift(Struct, frozen=True, kw_only=True):
    """What differs in one account. `changes` counts all; `first` names the first of them."""

    account: _Text
    configuration: _Text
    """Digest of the configuration's bytes."""
    changes: int
    first: tuple[DriftedResource, ...]
    unread: tuple[UnreadPart, ...]

    def to_wire(self) -> dict[str, Any]:
        wire: dict[str, Any] = to_builtins(self)
        return wire


def drift_of(plan: AccountPlan, configuration: str, doers: Mapping[str, DriftDoer]) -> AccountDrift:
    """Return the drift that a plan shows. `doers` is by address."""
    return AccountDrift(
        account=plan.account, configuration=configuration, changes=len(plan.changes),
        first=tuple(_resource(one, doers.get(one.address)) for one in plan.changes[:CHANGES_NAMED_MAX]),
        unread=tuple(_unread(one) for one in plan.remarks if one.kind == "unread")[:_UNREAD_NAMED_MAX],
    )  # fmt: skip


def summary(drift: AccountDrift) -> str:
    """Return one sentence about a drift that has changes: how many, and the first of them."""
    names = ", ".join(one.address for one in drift.first[:3])
    more = f" and {drift.changes - 3} more" if drift.changes > 3 else ""
    what = "1 resource differs" if drift.changes == 1 else f"{drift.changes} resources differ"
    return one_line(f"{what} from the configuration: {names}{more}{_by(drift.first)}", 600)


def _by(first: Sequence[DriftedResource]) -> str:
    """Return who changed the first resource whose change is known."""
    known = next((one for one in first if one.doer is not None and one.doer.by), None)
    if known is None or known.doer is None:
        return ""
    return f"; {known.doer.by} changed {known.address} at {known.doer.at} ({known.doer.event})"


def _resource(change: PlannedChange, doer: DriftDoer | None) -> DriftedResource:
    lines = tuple(one_line(one, _LINE_CHARACTERS_MAX) for one in change_lines(change)[:_LINES_MAX])
    return DriftedResource(
        address=change.address, step=change.step, action=change.action, aspects=tuple(change.after or {}), lines=lines,
        doer=doer,
    )  # fmt: skip


def _unread(remark: Remark) -> UnreadPart:
    """Return a part with its reason and what to do, which names the missing permissions if AWS denied it."""
    fix = f" ({remark.fix})" if remark.fix else ""
    return UnreadPart(address=remark.address, reason=one_line(f"{remark.message}{fix}", 600))
