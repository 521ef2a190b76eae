"""Who may acknowledge and exempt. Pure."""

from __future__ import annotations

from typing import Protocol

from whence_aggregator.callers.caller import Caller
from whence_aggregator.ports import Forbidden
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.violations.exemption import Exemption

SEVERITY_OF_TEAMS = 3
"""Teams exempt violations of this severity and of lower ones (3 and 4); of higher ones only who may operate."""


class Actor(Protocol):
    """The caller, as far as violations concern it."""

    @property
    def name(self) -> str: ...

    @property
    def may_operate(self) -> bool: ...

    def may_write(self, team_id: str) -> bool: ...


def check_acknowledge(caller: Actor, one: StoredViolation) -> None:
    """Raise Forbidden if the caller may not acknowledge a violation: its team may, or who operates if it has none."""
    if not (caller.may_write(one.team) if one.team else caller.may_operate):
        raise Forbidden(
            "violation-forbidden", f"{caller.name} may not acknowledge a violation of {_owner(one)}",
            fix="ask the owning team; one without an owner needs the right operate",
        )  # fmt: skip


def check_exempt(caller: Actor, one: StoredViolation) -> None:
    """Raise Forbidden if the caller may not exempt a violation."""
    if caller.name in one.details.get("tokens", ()):
        raise Forbidden(
            "violation-own",
            f"{caller.name} pushed, recorded or reported what the violation is about, and so may not exempt it",
            fix="ask somebody else",
        )  # fmt: skip
    if caller.may_operate:
        return
    if one.severity < SEVERITY_OF_TEAMS:
        raise Forbidden(
            "violation-forbidden", f"violations of severity {one.severity} are exempted with the right operate",
            fix="ask who operates the aggregator",
        )  # fmt: skip
    if not one.team or not caller.may_write(one.team):
        raise Forbidden(
            "violation-forbidden", f"{caller.name} may not exempt a violation of {_owner(one)}",
            fix="ask the owning team",
        )  # fmt: skip


def check_undo(caller: Actor, one: StoredViolation) -> None:
    """Raise Forbidden if the caller may not undo a mark: who could set it may, whatever the severity."""
    if not (caller.may_operate or (one.team and caller.may_write(one.team))):
        raise Forbidden(
            "violation-forbidden", f"{caller.name} may not undo a step of a violation of {_owner(one)}",
            fix="ask the owning team, or who operates the aggregator",
        )  # fmt: skip


def check_withdraw(caller: Actor, granted: Exemption) -> None:
    """Raise Forbidden unless the caller may end an exemption: for its team, its own, or with the right operate."""
    team = granted.scope.team
    if not (caller.may_operate or granted.granted_by == caller.name or (team and caller.may_write(team))):
        raise Forbidden(
            "exemption-forbidden", f"{caller.name} may not undo this exemption",
            fix="ask who granted it, or who operates the aggregator",
        )  # fmt: skip


def check_person(caller: Caller) -> None:
    """Raise Forbidden unless the caller is a person."""
    if caller.job is not None or caller.realm != "people":
        raise Forbidden(
            "exemption-person", f"{caller.name} is not a person, and only a person may exempt",
            fix="sign in with whence login, or use a token with the right person",
        )  # fmt: skip


def _owner(one: StoredViolation) -> str:
    return f"team {one.team}" if one.team else "no team"
