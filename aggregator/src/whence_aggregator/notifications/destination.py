"""Destinations: what each of them is told about. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from whence_aggregator.notifications.hours import Hours
from whence_aggregator.projections.violation_rows import StoredViolation

DestinationKind = Literal["webhook", "slack", "mail"]
STEPS = (
    "opened", "reopened", "expired", "unexempted", "unacknowledged", "acknowledged", "exempted", "changed",
    "unconfirmed", "confirmed", "fixed",
)  # fmt: skip
STEPS_DEFAULT = ("opened", "reopened", "expired", "unexempted", "acknowledged", "exempted", "fixed")
RAISING = frozenset({"opened", "reopened", "expired", "unexempted", "unacknowledged"})
"""Steps after which a fault calls for somebody."""
_LATE = frozenset({"unexempted", "unacknowledged", "changed", "confirmed"})
"""Steps by which a destination may first learn of a violation that opened before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A place that notifications are sent to. A mail has one for each of its teams."""

    name: str
    kind: DestinationKind
    host: str
    """What is shown of its address, which may be a secret."""
    teams: frozenset[str] | None = None
    """None: all teams, and what has no owner."""
    other_teams: frozenset[str] = frozenset()
    """Teams that it is not about."""
    severities: frozenset[int] = frozenset({1, 2, 3, 4})
    steps: frozenset[str] = frozenset(STEPS_DEFAULT)
    notify_after_seconds: float = 0.0
    give_up_after_seconds: float = 86_400.0
    hours: Hours = field(default_factory=Hours)
    messages_per_hour_max: int | None = None
    """Then one message states what is due; None: no bound, as of mail, which is a digest."""
    seconds_between: float = 0.0
    """Between two messages, where the receiver limits them."""

    def concerns(self, violation: StoredViolation) -> bool:
        """Return whether it is told of a violation of this team and severity."""
        if violation.severity not in self.severities or violation.team in self.other_teams:
            return False
        return self.teams is None or violation.team in self.teams

    def announces(self, step: str) -> bool:
        """Return whether a step may be the first that it hears of a violation."""
        return step in self.steps & RAISING or (step in _LATE and "opened" in self.steps)
