"""A violation as fullstop.'s interface serves it: one row for each, whatever the number of instances. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from whence_aggregator.compliance.fullstop_types import type_of_rule
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.violations.life import ShownState
from whence_aggregator.violations.rows import NO_MEMBERS, ViolationMembers

SERVED_BY = "whence"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What another program stated of a violation. An empty text is what it did not state."""

    event_id: str
    meta_info: object
    username: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedExemption:
    """The exemption that covers a violation."""

    number: int
    reason: str
    at: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedViolation:
    """A violation with what is served of it. Its number stays when the fault is fixed and comes back."""

    stored: StoredViolation
    state: ShownState
    members: ViolationMembers = NO_MEMBERS
    report: Reported | None = None
    exemption: ServedExemption | None = None

    @property
    def number(self) -> int:
        return self.stored.number

    @property
    def type_id(self) -> str:
        return type_of_rule(self.stored.rule)

    @property
    def account_ids(self) -> frozenset[str]:
        return (self.members.accounts | {self.stored.account_id}) - {""}

    @property
    def account_id(self) -> str:
        return self.stored.account_id or min(self.account_ids, default="")

    @property
    def region(self) -> str:
        return self.members.region

    @property
    def instance_id(self) -> str:
        """Return the only instance that it concerns; empty if there are several, or none."""
        return self.members.instance_id if self.member_count == 1 else ""

    @property
    def member_count(self) -> int:
        """Return how many instances are known to fail; where none is, how many may."""
        return self.members.count or self.members.not_confirmed

    @property
    def event_id(self) -> str:
        return self.report.event_id if self.report is not None else self.stored.id

    @property
    def username(self) -> str:
        return self.report.username if self.report is not None else ""

    @property
    def created(self) -> str:
        """Return when it opened, or opened again."""
        return self.stored.since

    @property
    def created_by(self) -> str:
        return self.report.by if self.report is not None else SERVED_BY

    @property
    def settled(self) -> tuple[str, str, str]:
        """Return comment, time and author of the step that took it off the list; while it is on it, how it began."""
        stored, exemption = self.stored, self.exemption
        if self.state == "acknowledged":
            return stored.comment, stored.acknowledged_at, stored.acknowledged_by
        if self.state == "exempted" and exemption is not None:
            return f"exempted until {stored.exempt_until}: {exemption.reason}", exemption.at, exemption.by
        if self.state == "fixed":
            return f"fixed: {stored.reason}", stored.last_seen, SERVED_BY
        return "", stored.since, self.created_by
