"""Makes reports, and records their digests in the log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from whence_aggregator.compliance.rule import Rule
from whence_aggregator.compliance.rules.live import CurrentRules
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.projections.reports import REPORT, report_writes
from whence_aggregator.reports.counted import NONE
from whence_aggregator.reports.coverage import AskedAbout
from whence_aggregator.reports.coverage_reading import CoverageReader
from whence_aggregator.reports.period_reading import StepsOfPeriods
from whence_aggregator.reports.report import (
    VIOLATIONS_MAX,
    ComplianceReport,
    ReportedViolation,
    ReportScope,
    RuleOfReport,
    ViolationsOfReport,
)
from whence_aggregator.reports.report_csv import to_csv, to_steps_csv
from whence_aggregator.reports.report_findings import FindingsOfReports
from whence_aggregator.reports.report_oscal import to_oscal
from whence_aggregator.reports.summary import Summaries, WantedSummary
from whence_aggregator.trace.moment import Moments
from whence_common.clock import Now, to_instant
from whence_common.digest import sha256_digest
from whence_common.errors import InputError
from whence_common.ledger_entry import event


class RendersHtml(Protocol):
    def render(self, report: ComplianceReport) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeReport:
    """A report's files by name, with their digests and the entry that records these."""

    report: ComplianceReport
    files: Mapping[str, str]
    digests: Mapping[str, str]
    ledger_index: int

    def to_wire(self) -> dict[str, object]:
        return {
            "complete": self.report.complete, "coverage": dict(self.report.coverage),
            "violations": len(self.report.violations), "open_at_end": self.report.period.counts["open_at_end"],
            "findings_open": self.report.findings_open, "verdicts": self.report.everything.verdicts.total,
            "files": dict(self.files),
            "digests": dict(self.digests), "ledger_index": self.ledger_index,
        }  # fmt: skip


class ReportMaker:
    """Makes one report at a time for each request."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        summaries: Summaries,
        violations: ViolationsOfReport,
        coverage: CoverageReader,
        findings: FindingsOfReports,
        steps: StepsOfPeriods,
        moments: Moments,
        html: RendersHtml,
        rules: CurrentRules,
        version: str,
        now: Now,
    ) -> None:
        """`rules` include those that users wrote."""
        self._ledger = ledger
        self._summaries = summaries
        self._violations = violations
        self._coverage = coverage
        self._findings = findings
        self._steps = steps
        self._moments = moments
        self._html = html
        self._rules = rules
        self._version = version
        self._now = now

    async def make(self, scope: ReportScope, *, made_by: str, team_as_written: bool, names_sources: bool) -> MadeReport:
        """Make a report and record its digests. Raises InputError, and NotFound for a period before any snapshot."""
        report = await self._report(scope, made_by, team_as_written=team_as_written, names_sources=names_sources)
        files = await asyncio.to_thread(self._files, report)  # seconds, for a long report
        digests = {name: sha256_digest(text.encode()) for name, text in files.items()}
        stated = {
            "team_id": scope.team or "", "account_id": scope.account or "", "since": scope.since, "until": scope.until,
            "made_at": report.made_at, "made_by": made_by, "complete": report.complete, "digests": digests,
        }  # fmt: skip
        async with self._ledger.writing() as writing:
            ((index, _),) = await writing.append([NewEntry(kind=REPORT, content=event(REPORT, stated))])
            writing.writes.extend(report_writes(index, stated))
        return MadeReport(report=report, files=files, digests=digests, ledger_index=index)

    def _files(self, report: ComplianceReport) -> dict[str, str]:
        oscal = msgspec.json.format(msgspec.json.encode(to_oscal(report)), indent=2).decode()
        return {
            "report.html": self._html.render(report), "violations.csv": to_csv(report),
            "steps.csv": to_steps_csv(report), "assessment-results.json": oscal + "\n",
        }  # fmt: skip

    async def _report(
        self, scope: ReportScope, made_by: str, *, team_as_written: bool, names_sources: bool
    ) -> ComplianceReport:
        present = await self._moments.of()
        if scope.since > present.at[:10]:
            fix = f"pass a `from` that is not after {present.at[:10]} (UTC)"
            raise InputError("period-in-future", f"the period from {scope.since} has not begun", fix=fix)
        ended = scope.until < present.at[:10]
        moment = await self._moments.of(f"{scope.until}T23:59:59.999Z") if ended else present
        wanted = WantedSummary(team=scope.team, team_as_written=team_as_written, account=scope.account)
        days = await self._summaries.trend(wanted, present, since=scope.since, until=scope.until)
        summary = await self._summaries.of(wanted, moment)
        found = await self._violations.of_report(scope, team_as_written=team_as_written, limit=VIOLATIONS_MAX + 1)
        by_rule: dict[str, list[ReportedViolation]] = {}
        for one in found[:VIOLATIONS_MAX]:
            by_rule.setdefault(one.rule, []).append(one)
        groups = {name: group.verdicts for name, group in summary.groups.items() if name is not None}
        rules, known = [], {rule.id: rule for rule in self._rules.current.every}
        for name in sorted({*groups, *by_rule}, key=lambda one: (_severity(known, one), one)):
            rule = known.get(name)
            rules.append(
                RuleOfReport(
                    id=name,
                    title=rule.title if rule is not None else name,
                    severity=_severity(known, name),
                    rationale=rule.rationale if rule is not None else "",
                    remedy=rule.remedy if rule is not None else "",
                    counts=groups.get(name, NONE),
                    violations=by_rule.get(name, ()),
                )
            )
        about = AskedAbout(account=scope.account, team=scope.team, team_as_written=team_as_written)
        counted = await self._findings.of(scope, moment, team_as_written=team_as_written)
        period = await self._steps.of(scope, team_as_written=team_as_written)
        if not (summary.everything.verdicts.total or period.violations):
            await self._coverage.check_team(about)
        return ComplianceReport(
            scope=scope, made_at=to_instant(self._now()), made_by=made_by, version=self._version,
            stood_at=summary.at, age_seconds=summary.age_seconds,
            snapshot_index=summary.snapshot.ledger_index if summary.snapshot is not None else None,
            checkpoint=self._ledger.note, everything=summary.everything, rules=rules, days=days,
            coverage=await self._coverage.of(about, named=names_sources),
            cut=len(found) > VIOLATIONS_MAX or counted.cut or period.cut, period=period, findings=counted.scanners,
        )  # fmt: skip


def _severity(known: Mapping[str, Rule], name: str) -> int:
    return known[name].severity if name in known else 4
