"""Wiring of the findings of scanners."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from whence_aggregator.findings.coverage import ScannerCoverage
from whence_aggregator.findings.listing import Findings
from whence_aggregator.findings.scanners import Scanner, Scanners
from whence_aggregator.http.findings import FindingCalls
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database
from whence_aggregator.reports.coverage_reading import CoverageReader
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.moment import Moments
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.organisation import load_allowed, load_directory
from whence_common.clock import utc_now


def load_scanners(settings: Settings) -> Scanners:
    """Return the scanners that the settings name, and what their findings mean."""
    wanted = settings.findings
    named = [
        Scanner(
            product=one.product, interval_seconds=one.interval_seconds, accounts=frozenset(one.accounts),
            reports=one.reports,
        )
        for one in wanted.scanners
    ]  # fmt: skip
    return Scanners(
        named=named,
        cve_severity=wanted.cve_severity,
        base_image_checks=tuple(wanted.base_image_checks),
        severities=dict(wanted.severities),
    )


def load_findings(settings: Settings, database: Database) -> Findings:
    """Return the list of findings."""
    return Findings(
        database=database, directory=load_directory(settings, database), scanners=load_scanners(settings)
    )  # fmt: skip


def load_scanner_coverage(settings: Settings, database: Database) -> ScannerCoverage:
    """Return what shows how scanners report."""
    return ScannerCoverage(
        database=database, scanners=load_scanners(settings), accounts=load_allowed(settings, database)
    )  # fmt: skip


def finding_routes(
    settings: Settings,
    database: Database,
    ledger: Ledger,
    coverage: CoverageReader,
    on_change: Callable[[], None],
    limits: LiveLimits,
) -> list[web.RouteDef]:
    """Return the routes of findings."""
    findings = load_findings(settings, database)
    states = load_scanner_coverage(settings, database)
    moments = Moments(database=database, now=utc_now)
    return FindingCalls(
        ledger=ledger, findings=findings, scanners=states, coverage=coverage, moments=moments, now=utc_now,
        on_change=on_change, caller_bytes=limits.of("finding_bytes_per_caller", "caller"),
    ).routes()  # fmt: skip
