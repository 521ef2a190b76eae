"""Reads the steps of the violations of a team or an account."""

from __future__ import annotations

from datetime import date, timedelta

from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.queries.query import array
from whence_aggregator.queries.reports import STEPS_OF_SCOPE
from whence_aggregator.reports.period import ViolationsOverPeriod, over_period
from whence_aggregator.reports.report import ReportScope
from whence_aggregator.reports.rows import steps_by_violation

STEPS_MAX = 100_000


class StepsOfPeriods:
    """Reads what became of violations."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._directory = OrganisationDirectory(database)

    async def of(self, scope: ReportScope, *, team_as_written: bool) -> ViolationsOverPeriod:
        """Return what became of the violations that the team owns, or that are in the account, by their newest step."""
        teams: frozenset[str] = frozenset()
        if scope.team is not None:
            teams = frozenset({scope.team}) if team_as_written else await self._directory.names_of(scope.team)
        after = f"{(date.fromisoformat(scope.until) + timedelta(days=1)).isoformat()}T00:00:00.000Z"
        rows = await self._database.fetch(
            STEPS_OF_SCOPE.bind(
                {"any_team": int(scope.team is None), "teams": array(sorted(teams)), "account": scope.account,
                 "until": after, "limit": STEPS_MAX + 1}
            )
        )  # fmt: skip
        found = steps_by_violation(rows[:STEPS_MAX])
        shown = over_period(found, since=f"{scope.since}T00:00:00.000Z", until=after)
        return ViolationsOverPeriod(violations=shown, cut=len(rows) > STEPS_MAX)
