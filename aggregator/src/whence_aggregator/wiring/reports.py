"""Wiring of summaries, their snapshots, and coverage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from whence_aggregator import __version__
from whence_aggregator.adapters.aws_probe import AwsRoleProbe
from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.presence_total import PresenceTotal
from whence_aggregator.compliance.rules.live import CurrentRules
from whence_aggregator.compliance.violations import Violations
from whence_aggregator.findings.application_scans import ApplicationScans
from whence_aggregator.findings.counting import FindingCounts
from whence_aggregator.findings.coverage import ScannerCoverage
from whence_aggregator.http.image_checks import ImageCheckCalls
from whence_aggregator.http.reports import ReportCalls
from whence_aggregator.http.role_checks import RoleCheckCalls
from whence_aggregator.http.summaries import SummaryCalls
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.organisation.listing import standing_accounts
from whence_aggregator.ports import Database
from whence_aggregator.reports.coverage_reading import CoverageReader
from whence_aggregator.reports.coverage_rows import ExpectedSources
from whence_aggregator.reports.image_check import ImageChecks
from whence_aggregator.reports.period_reading import StepsOfPeriods
from whence_aggregator.reports.recorded_reports import RecordedReports
from whence_aggregator.reports.report_findings import FindingsOfReports
from whence_aggregator.reports.report_html import HtmlReports
from whence_aggregator.reports.report_maker import ReportMaker
from whence_aggregator.reports.role_checks import RoleChecks
from whence_aggregator.reports.snapshots import Snapshots
from whence_aggregator.reports.standing_violations import StandingViolations
from whence_aggregator.reports.summary import Summaries
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import Moments
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.wiring.findings import load_findings, load_scanners
from whence_aggregator.wiring.organisation import load_directory
from whence_aggregator.wiring.rules import scanned_images
from whence_common.clock import utc_now
from whence_common.runtime.pause import pause


def load_snapshots(database: Database, ledger: Ledger) -> Snapshots:
    """Return what takes a snapshot of the counts each day."""
    return Snapshots(database=database, ledger=ledger, now=utc_now)


UNHEARD_KEPT_SECONDS = 30.0
"""How old the number of unheard instances may be: it reads the whole inventory."""
COVERAGE_KEPT_SECONDS = 5.0
"""How old the coverage of an answer may be: it reads all accounts, and they are listed every few minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Covering:
    """How far sources were read, and what scanners found."""

    coverage: CoverageReader
    counts: FindingCounts
    of_reports: FindingsOfReports


def load_covering(settings: Settings, database: Database, allowed: AllowedAccounts) -> Covering:
    """Return what reads how far each source that the settings name was read, and what counts findings."""
    scanners = load_scanners(settings)
    states = ScannerCoverage(database=database, scanners=scanners, accounts=allowed)
    return Covering(
        coverage=_coverage_reader(settings, database, allowed, states),
        counts=FindingCounts(database=database, scanners=scanners, states=states, now=utc_now),
        of_reports=FindingsOfReports(findings=load_findings(settings, database), states=states),
    )


def _coverage_reader(
    settings: Settings, database: Database, allowed: AllowedAccounts, states: ScannerCoverage
) -> CoverageReader:
    inventory, organisation = settings.inventory, settings.organisation
    sources = {
        "file": organisation is not None and organisation.file is not None,
        "aws": organisation is not None and organisation.aws is not None,
        "team-service": organisation is not None and organisation.team_service is not None,
    }
    expected = ExpectedSources(
        accounts=lambda: allowed.names,
        regions=inventory.regions if inventory is not None else (),
        inventory_seconds=inventory.seconds if inventory is not None else 0.0,
        trail=settings.cloud_trail is not None,
        organisation=[name for name, there in sources.items() if there],
        scanners=[one.product for one in settings.findings.scanners],
    )
    return CoverageReader(
        database=database, expected=expected, now=utc_now, scanners=states, kept_seconds=COVERAGE_KEPT_SECONDS
    )


def check_routes(
    settings: Settings,
    database: Database,
    tracer: Tracer,
    listening: Listening,
    rules: CurrentRules,
    tags: Collector,
    wake: Callable[[], None],
) -> list[web.RouteDef]:
    """Return the route that judges images before they run."""
    images = scanned_images(settings, database)
    scans = (
        ApplicationScans(images=images, database=database, directory=load_directory(settings, database))
        if images is not None
        else None
    )
    checks = ImageChecks(
        database=database, tracer=tracer, rules=rules, scans=scans,
        listening=listening, now=utc_now, tags=tags, wake=wake, pause=pause,
    )  # fmt: skip
    return ImageCheckCalls(checks).routes()


def report_routes(
    settings: Settings, database: Database, ledger: Ledger, listening: Listening, covering: Covering,
    rules: CurrentRules,
) -> list[web.RouteDef]:  # fmt: skip
    """Return the route that makes reports."""
    directory = load_directory(settings, database)
    listed = Violations(database=database, listening=listening, rules=rules, directory=directory)
    maker = ReportMaker(
        ledger=ledger,
        summaries=Summaries(database=database, listening=listening, directory=directory),
        violations=StandingViolations(listed, rules),
        coverage=covering.coverage,
        findings=covering.of_reports,
        steps=StepsOfPeriods(database),
        moments=Moments(database=database, now=utc_now),
        html=HtmlReports(),
        rules=rules,
        version=__version__,
        now=utc_now,
    )
    return ReportCalls(maker, RecordedReports(database)).routes()


def summary_routes(
    settings: Settings, database: Database, listening: Listening, covering: Covering, rules: CurrentRules
) -> list[web.RouteDef]:
    """Return the routes of summaries and coverage."""
    calls = SummaryCalls(
        database=database,
        summaries=Summaries(
            database=database,
            listening=listening,
            unheard_kept_seconds=UNHEARD_KEPT_SECONDS,
            directory=load_directory(settings, database),
        ),
        coverage=covering.coverage,
        moments=Moments(database=database, now=utc_now),
        findings=covering.counts,
        rules=rules,
        presence=PresenceTotal(database=database, listening=listening, now=utc_now),
    )
    return calls.routes()


def role_check_routes(settings: Settings, database: Database, allowed: AllowedAccounts) -> list[web.RouteDef]:
    """Return the route that checks what the inventory's role may do."""
    inventory = settings.inventory
    probe = None
    if inventory is not None:
        probe = AwsRoleProbe(
            role_name=inventory.role_name, session_name=inventory.session_name, external_id=inventory.external_id,
            endpoint_url=settings.aws_endpoint_url,
        )  # fmt: skip
    regions = inventory.regions if inventory is not None else ()
    directory = load_directory(settings, database)
    checks = RoleChecks(
        probe=probe, accounts=lambda: allowed.names, stated=lambda: standing_accounts(directory), regions=regions
    )
    return RoleCheckCalls(checks).routes()
