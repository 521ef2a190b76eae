"""The findings of scanners that a report counts: those about its account, or about what its team answers for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.findings.counting import ScannerFindings, ScannerStates, count_shown
from whence_aggregator.findings.listing import Findings, WantedFindings
from whence_aggregator.reports.report import ReportScope
from whence_aggregator.trace.moment import Moment
from whence_common.clock import parse_instant

FINDINGS_MAX = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedOfReport:
    """The counts by scanner and account. `cut`: whether there are more findings than a report counts."""

    scanners: Sequence[ScannerFindings] = ()
    cut: bool = False


class FindingsOfReports:
    """Counts findings as they were known at a moment."""

    def __init__(self, *, findings: Findings, states: ScannerStates) -> None:
        self._findings = findings
        self._states = states

    async def of(self, scope: ReportScope, moment: Moment, *, team_as_written: bool) -> CountedOfReport:
        """Return the counts for a report. A scanner of its account that never reported is among them, without any."""
        now = parse_instant(moment.at)
        wanted = WantedFindings(account=scope.account, team=scope.team, team_as_written=team_as_written)
        states = await self._states.states(now=now, past=moment.past)
        every = self._findings.every(wanted, now=now, past=moment.past)
        found, cut = await count_shown(every, states, most=FINDINGS_MAX)
        counted = {(one.state.account_id, one.state.product) for one in found}
        silent = [
            ScannerFindings(state=one, verdicts={})
            for one in states
            if one.account_id == scope.account and (one.account_id, one.product) not in counted
        ]
        return CountedOfReport(scanners=[*found, *silent], cut=cut)
