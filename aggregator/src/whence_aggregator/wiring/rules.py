"""Wiring of the rules: which are in force, by the settings."""

from __future__ import annotations

from collections.abc import Container

from whence_aggregator.compliance.covered import CoveredAccounts
from whence_aggregator.compliance.evaluate import Evaluator
from whence_aggregator.compliance.recording import Recording
from whence_aggregator.compliance.rule import ConfiguredSource
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.subjects import OrganisationAccounts, SubjectEvaluator
from whence_aggregator.findings.images import ScannedImages
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.settings.server import Settings
from whence_aggregator.settings.trackers import reads_reviews
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.trackers.places import NO_TRACKERS, KnownTrackers
from whence_aggregator.wiring.cloud_trail import load_coverage
from whence_aggregator.wiring.findings import load_scanners
from whence_common.clock import Now


def rules_in_force(settings: Settings) -> RulesInForce:
    """Return the rules that judge. A rule whose source or setting is not configured is not in force."""
    organisation = settings.organisation
    configured: dict[ConfiguredSource, bool] = {
        "inventory": settings.inventory is not None,
        "organisation": organisation is not None
        and any(one is not None for one in (organisation.file, organisation.aws, organisation.team_service)),
        "reviews": any(reads_reviews(one) for one in settings.trackers.values()),
        "tickets": any(one.tickets for one in settings.trackers.values()),
        "approvals": settings.approvals is not None,
        "trust": bool(settings.trust),
        "commit-trust": bool(settings.commit_trust),
        "findings": bool(settings.findings.scanners),
    }
    return RulesInForce.of(settings.rules, [source for source, there in configured.items() if there])


def covered_accounts(settings: Settings, database: Database, allowed: Container[str]) -> CoveredAccounts | None:
    """Return what compares the organisation's accounts with those that are read; None without an organisation."""
    if settings.organisation is None:
        return None
    return CoveredAccounts(
        database=database,
        directory=OrganisationDirectory(database),
        allowed=allowed,
        lists=settings.inventory is not None,
        events=load_coverage(settings, database) if settings.cloud_trail is not None else None,
    )


def scanned_images(settings: Settings, database: Database) -> ScannedImages | None:
    """Return what reads scanners' findings about images; None where the settings name no scanner."""
    if not settings.findings.scanners:
        return None
    return ScannedImages(database=database, scanners=load_scanners(settings))


def load_evaluator(
    database: Database,
    ledger: Ledger,
    tracer: Tracer,
    listening: Listening,
    rules: RulesInForce,
    *,
    now: Now,
    trackers: KnownTrackers = NO_TRACKERS,
    accounts: OrganisationAccounts | None = None,
    images: ScannedImages | None = None,
) -> Evaluator:
    """Return what judges instances and other subjects by the rules in force."""
    scanners = images.scanners if images is not None else None
    recording = Recording(ledger=ledger, rules=rules, trackers=trackers, scanners=scanners)
    subjects = SubjectEvaluator(
        database=database, ledger=ledger, tracer=tracer, now=now, listening=listening, rules=rules,
        recording=recording, accounts=accounts, images=images,
    )  # fmt: skip
    return Evaluator(
        database=database, ledger=ledger, tracer=tracer, now=now, listening=listening, rules=rules,
        subjects=subjects, recording=recording,
    )  # fmt: skip
