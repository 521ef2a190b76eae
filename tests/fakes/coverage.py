"""How far sources are covered, for calls that a test serves: by default the settings have nothing read."""

from __future__ import annotations

from collections.abc import Sequence

from fakes.in_process import InProcess
from whence_aggregator.findings.counting import FindingCounts
from whence_aggregator.findings.coverage import ScannerCoverage
from whence_aggregator.findings.listing import Findings
from whence_aggregator.findings.scanners import Scanners
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.reports.coverage_reading import CoverageReader, ReportingScanners
from whence_aggregator.reports.coverage_rows import ExpectedSources
from whence_aggregator.reports.report_findings import FindingsOfReports

COVERED = {"complete": True, "incomplete_total": 0, "incomplete": []}
"""What an answer states that lacks nothing."""


def coverage_of(
    house: InProcess,
    *,
    accounts: Sequence[str] = (),
    regions: Sequence[str] = (),
    trail: bool = False,
    organisation: Sequence[str] = (),
    scanners: ReportingScanners | None = None,
    named: Sequence[str] = (),
    kept_seconds: float = 0.0,
) -> CoverageReader:
    """Return the reader of a house whose settings name these sources; `named` are the scanners of the settings."""
    expected = ExpectedSources(
        accounts=lambda: accounts, regions=regions, inventory_seconds=300.0, trail=trail, organisation=organisation,
        scanners=named,
    )  # fmt: skip
    return CoverageReader(
        database=house.database, expected=expected, now=house.clock, scanners=scanners, kept_seconds=kept_seconds
    )


def counts_of(house: InProcess) -> FindingCounts:
    """Return what counts the findings of a house without scanners in its settings."""
    return FindingCounts(database=house.database, scanners=Scanners(), states=_states(house), now=house.clock)


def findings_of_reports(house: InProcess) -> FindingsOfReports:
    """Return what counts the findings of a report."""
    directory = OrganisationDirectory(house.database)
    findings = Findings(database=house.database, directory=directory, scanners=Scanners())
    return FindingsOfReports(findings=findings, states=_states(house))


def _states(house: InProcess) -> ScannerCoverage:
    accounts = AllowedAccounts(named=frozenset(), collected=False, database=house.database)
    return ScannerCoverage(database=house.database, scanners=Scanners(), accounts=accounts)
