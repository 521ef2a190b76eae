"""Who may state versions and approve them."""

from __future__ import annotations

from typing import Protocol

from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.approvals.values import STUPS_TYPES
from whence_aggregator.ports import Forbidden
from whence_common.errors import InputError


class Approver(Protocol):
    """The caller, as far as versions and approvals concern it."""

    @property
    def name(self) -> str: ...
    @property
    def teams(self) -> frozenset[str] | None: ...
    @property
    def subject(self) -> tuple[str, str] | None: ...
    @property
    def realm(self) -> str: ...
    @property
    def emails(self) -> tuple[str, ...]: ...

    def check_write(self, team_id: str) -> None:
        """Raise Forbidden if it may not write for a team."""


def person_of(caller: Approver) -> str:
    """Return what identifies a person: issuer and subject, or the name of a static token."""
    return "\t".join(caller.subject) if caller.subject is not None else caller.name


def checked_type(approval_type: object, policy: ApprovalPolicy | None) -> str:
    """Return a type of approval. Raises InputError for one that the settings do not have."""
    types = policy.types if policy is not None else STUPS_TYPES
    if not isinstance(approval_type, str) or approval_type not in types:
        raise InputError(
            "approval-type", f"approval_type must be one of {', '.join(types)}",
            fix="add the organisation's own types to approvals.types in the settings",
        )  # fmt: skip
    return approval_type


def approving_teams(approval_type: str, team: str, policy: ApprovalPolicy | None) -> tuple[str, ...]:
    """Return the teams whose people may approve a type: the application's own, unless the settings state others."""
    return policy.teams.get(approval_type, (team,)) if policy is not None else (team,)


def check_approver(caller: Approver, teams: tuple[str, ...]) -> None:
    """Raise Forbidden unless the caller is a person of one of the teams. The right to write is not enough."""
    if caller.realm != "people":
        raise Forbidden(
            "approval-not-a-person", f"{caller.name} is not known to be a person: only people approve",
            fix="sign in as a person; a static token of one person needs the right `person`",
        )  # fmt: skip
    if caller.teams is None or not caller.teams.intersection(teams):
        raise Forbidden(
            "approval-team", f"{caller.name} is in none of the teams that may approve this: {', '.join(teams)[:300]}"
        )
