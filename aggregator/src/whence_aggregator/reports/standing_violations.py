"""The violations of a report, as the standing verdicts are: folded ones too, of every kind of subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES
from whence_aggregator.compliance.rules.live import CurrentRules
from whence_aggregator.compliance.violations import Violations, WantedViolations
from whence_aggregator.reports.report import ReportedViolation, ReportScope
from whence_aggregator.trace.state import States

_PAGE = 500
_AFTER_THE_DAY = "T23:59:59.999Z"


class StandingViolations:
    """Reads violations page by page."""

    def __init__(self, violations: Violations, rules: CurrentRules) -> None:
        self._violations = violations
        self._rules = rules

    async def of_report(self, scope: ReportScope, *, team_as_written: bool, limit: int) -> Sequence[ReportedViolation]:
        """Return violations that began before the period ended."""
        found: list[ReportedViolation] = []
        for kind in SUBJECTS_OF_RULES:
            wanted = WantedViolations(
                rules=[rule.id for rule in self._rules.current.every], states=States.parse("any"), team=scope.team,
                team_as_written=team_as_written, account=scope.account, kind=kind, folded=True,
                until=f"{scope.until}{_AFTER_THE_DAY}",
            )  # fmt: skip
            after: str | None = ""
            while after is not None and len(found) < limit:
                page, after = await self._violations.page(wanted, after=after, limit=min(_PAGE, limit - len(found)))
                found += [_reported(one) for one in page]
        return found


def _reported(one: Mapping[str, Any]) -> ReportedViolation:
    return ReportedViolation(
        rule=one["rule"], verdict=one["verdict"], subject=one.get("instance_id") or one["subject"]["id"],
        application_id=one.get("application_id") or "", account_id=one.get("account_id") or "",
        region=one.get("region") or "", since=one["since"] or "", reason=one["reason"],
        ledger_index=one.get("ledger_index"),
    )  # fmt: skip
