"""A compliance report: the verdicts about a team or an account over a period, with their evidence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from whence_aggregator.findings.counting import ScannerFindings
from whence_aggregator.reports.counted import CountedGroup, Counts
from whence_aggregator.reports.period import ViolationsOverPeriod
from whence_aggregator.reports.summary import TrendDay

VIOLATIONS_MAX = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportScope:
    """What a report is about: a team or an account, from a day to another, both included."""

    team: str | None = None
    account: str | None = None
    since: str
    until: str

    @property
    def name(self) -> str:
        return f"team {self.team}" if self.team is not None else f"account {self.account}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedViolation:
    """A verdict that failed or is unknown; `ledger_index` is its entry, by which it can be replayed."""

    rule: str
    verdict: str
    subject: str
    application_id: str
    account_id: str
    region: str
    since: str
    reason: str
    ledger_index: int | None


class ViolationsOfReport(Protocol):
    """The violations that are open, by whoever keeps them."""

    async def of_report(self, scope: ReportScope, *, team_as_written: bool, limit: int) -> Sequence[ReportedViolation]:
        """Return at most `limit` violations that began before the period ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOfReport:
    """A rule with its counts, and the violations of it."""

    id: str
    title: str
    severity: int
    rationale: str
    remedy: str
    counts: Counts
    violations: Sequence[ReportedViolation]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplianceReport:
    """Everything that a report states."""

    scope: ReportScope
    made_at: str
    made_by: str
    version: str
    stood_at: str
    """When the counts stood: the end of the period, by its snapshot, or the time of the report."""
    age_seconds: float
    """How much older the counts are than the end of the period."""
    snapshot_index: int | None
    """The entry of the snapshot; None where the counts are those of the time of the report."""
    checkpoint: str
    """The signed checkpoint of the log that the report rests on."""
    everything: CountedGroup
    rules: Sequence[RuleOfReport]
    days: Sequence[TrendDay]
    coverage: Mapping[str, Any]
    cut: bool
    """Whether there are more violations than a report lists, or more findings than it counts."""
    period: ViolationsOverPeriod
    """What became of the violations."""
    findings: Sequence[ScannerFindings] = ()
    """By scanner and account, as known when the counts stood."""

    @property
    def complete(self) -> bool:
        """Return whether every source was read, and everything is listed."""
        return bool(self.coverage["complete"]) and not self.cut

    @property
    def violations(self) -> list[ReportedViolation]:
        return [one for rule in self.rules for one in rule.violations]

    @property
    def findings_open(self) -> int:
        """Return how many findings fail or are unknown; those that are muted in their scanners count too."""
        return sum(one.verdicts.get(verdict, 0) for one in self.findings for verdict in ("fail", "unknown"))

    @property
    def entries(self) -> list[int]:
        """Return the indexes of the entries that the numbers rest on."""
        found = {one.ledger_index for one in self.violations} | {one.ledger_index for one in self.days}
        for one in self.period.violations:
            found |= {one.before.entry, one.after.entry, *(step.ledger_index for step in one.within)}
        return sorted(one for one in {*found, self.snapshot_index} if one is not None)
