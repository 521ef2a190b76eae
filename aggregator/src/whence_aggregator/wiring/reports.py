"""Wiring of summaries, their snapshots, and coverage."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from whence_aggregator import __version__
from whence_aggregator.compliance.rules.live import CurrentRules
from whence_aggregator.compliance.violations import Violations
from whence_aggregator.http.image_checks import ImageCheckCalls
from whence_aggregator.http.reports import ReportCalls
from whence_aggregator.http.summaries import SummaryCalls
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.ports import Database
from whence_aggregator.reports.coverage import CoverageReader, ExpectedSources
from whence_aggregator.reports.image_check import ImageChecks
from whence_aggregator.reports.report_html import HtmlReports
from whence_aggregator.reports.report_maker import ReportMaker
from whence_aggregator.reports.snapshots import Snapshots
from whence_aggregator.reports.standing_violations import StandingViolations
from whence_aggregator.reports.summary import Summaries
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import Moments
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.wiring.rules import scanned_images
from whence_common.clock import utc_now
from whence_common.runtime.pause import pause


def load_snapshots(database: Database, ledger: Ledger) -> Snapshots:
    """Return what takes a snapshot of the counts each day."""
    return Snapshots(database=database, ledger=ledger, now=utc_now)


def load_coverage_reader(settings: Settings, database: Database, allowed: AllowedAccounts) -> CoverageReader:
    """Return what reads how far each source that the settings name was read."""
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
    )
    return CoverageReader(database=database, expected=expected, now=utc_now)


def check_routes(
    settings: Settings,
    database: Database,
    tracer: Tracer,
    listening: Listening,
    rules: CurrentRules,
    wake: Callable[[], None],
) -> list[web.RouteDef]:
    """Return the route that judges images before they run."""
    checks = ImageChecks(
        database=database, tracer=tracer, rules=rules, images=scanned_images(settings, database),
        listening=listening, now=utc_now, wake=wake, pause=pause,
    )  # fmt: skip
    return ImageCheckCalls(checks).routes()


def report_routes(
    settings: Settings, database: Database, ledger: Ledger, listening: Listening, allowed: AllowedAccounts
) -> list[web.RouteDef]:
    """Return the route that makes reports."""
    maker = ReportMaker(
        ledger=ledger,
        summaries=Summaries(database=database, listening=listening),
        violations=StandingViolations(Violations(database=database, listening=listening)),
        coverage=load_coverage_reader(settings, database, allowed),
        moments=Moments(database=database, now=utc_now),
        html=HtmlReports(),
        version=__version__,
        now=utc_now,
    )
    return ReportCalls(maker).routes()


def summary_routes(
    settings: Settings, database: Database, listening: Listening, allowed: AllowedAccounts
) -> list[web.RouteDef]:
    """Return the routes of summaries and coverage."""
    calls = SummaryCalls(
        database=database,
        summaries=Summaries(database=database, listening=listening),
        coverage=load_coverage_reader(settings, database, allowed),
        moments=Moments(database=database, now=utc_now),
    )
    return calls.routes()
