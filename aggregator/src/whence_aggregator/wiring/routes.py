"""The routes of `serve`."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from whence_aggregator.adapters.rule_process import RuleProcess
from whence_aggregator.amis.package_search import PackageSearch
from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.audit.bundle import Bundles
from whence_aggregator.changes.account_plans import AppliedPlans
from whence_aggregator.collect.account_drifts import KnownDrifts
from whence_aggregator.collect.accounts import Accounts
from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.measured import Questions
from whence_aggregator.compliance.rules.live import LiveRules
from whence_aggregator.http.account_plans import AccountPlanCalls
from whence_aggregator.http.accounts import AccountCalls
from whence_aggregator.http.agents import AgentCalls
from whence_aggregator.http.keys import KeyCalls
from whence_aggregator.http.log import LogCalls
from whence_aggregator.http.operators import OperatorCalls
from whence_aggregator.http.organisation import OrganisationCalls
from whence_aggregator.http.queries import QueryCalls
from whence_aggregator.http.sign_in import SignInCalls
from whence_aggregator.http.slots import STREAMS_AT_ONCE_MAX, Slots
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.publishing import Publisher
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.settings.server import Settings, accounts_named
from whence_aggregator.storage.measured import MeasuredDatabase
from whence_aggregator.trace.beginnings import Beginnings
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import Moments
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.wiring.agents import Speaking
from whence_aggregator.wiring.amis import ami_routes
from whence_aggregator.wiring.applications import application_routes, load_teams
from whence_aggregator.wiring.approvals import version_routes
from whence_aggregator.wiring.changes import change_routes
from whence_aggregator.wiring.cloud_trail import event_routes, load_coverage, stored_families
from whence_aggregator.wiring.console import Console, link_routes
from whence_aggregator.wiring.findings import finding_routes
from whence_aggregator.wiring.front import Behind, Front
from whence_aggregator.wiring.fullstop import fullstop_routes, instance_log_routes
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.mint import Mint, served_routes
from whence_aggregator.wiring.notifications import Notifications
from whence_aggregator.wiring.operations import (
    Operations,
    all_of,
    log_families,
    queue_families,
)
from whence_aggregator.wiring.replays import replay_routes
from whence_aggregator.wiring.reports import (
    Covering,
    check_routes,
    report_routes,
    role_check_routes,
    summary_routes,
)
from whence_aggregator.wiring.rules import (
    own_rule_families,
)
from whence_aggregator.wiring.settings_files import trusted_ami_builders
from whence_aggregator.wiring.sign_in import SigningIn
from whence_aggregator.wiring.violations import LivingViolations
from whence_aggregator.wiring.work import Working
from whence_common.clock import utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingParts:
    """The parts of a running aggregator that its routes use."""

    settings: Settings
    database: MeasuredDatabase
    ledger: Ledger
    speaking: Speaking
    tracer: Tracer
    publisher: Publisher
    heard: Listening
    limits: LiveLimits
    operations: Operations
    questions: Questions
    working: Working
    rules: LiveRules
    engine: RuleProcess
    covering: Covering
    tags: Collector
    notifications: Notifications
    signing_in: SigningIn
    policy: ApprovalPolicy | None
    violations: LivingViolations
    allowed: AllowedAccounts
    behind: Behind | None
    front: Front | None
    console: Console | None
    mint: Mint | None


def load_routes(opened: ServingParts) -> list[web.RouteDef]:
    """Return all routes but the registry's own."""
    return [
        *_answering(opened),
        *_compliance(opened),
        *_operating(opened),
        *_streamed(opened),
        *instance_log_routes(opened.settings, opened.database, opened.ledger, opened.allowed, opened.limits),
        *SignInCalls(opened.signing_in.sign_in, opened.signing_in.command_clients).routes(),
        *(opened.behind.listing_routes(opened.database) if opened.behind is not None else []),
        *link_routes(opened.console),
        *served_routes(
            opened.settings, opened.mint, opened.database, opened.ledger, opened.heard, opened.signing_in.membership
        ),
        *(opened.front.agent_routes if opened.front is not None else []),
    ]


def _answering(one: ServingParts) -> list[web.RouteDef]:
    """Return the routes of agents, and of queries about what runs."""
    return [
        *AgentCalls(
            enrolments=one.speaking.enrolments,
            ingest=one.speaking.ingest,
            heartbeats=one.speaking.heartbeats,
            publisher=one.publisher,
            challenges=one.limits.of_challenges(),
        ).routes(),
        *QueryCalls(
            database=one.database,
            log=one.ledger.reader,
            search=one.tracer.search,
            tracer=one.tracer,
            rules=one.rules,
            packages=PackageSearch(
                database=one.database,
                listening=one.heard,
                search=one.tracer.search,
                trusted=trusted_ami_builders(one.settings),
            ),
        ).routes(),
        *KeyCalls(Beginnings(database=one.database, log=one.ledger.reader)).routes(),
        *change_routes(one.database, one.tracer),
        *event_routes(one.database, one.tracer.moments, one.working.wake),
        *AccountCalls(
            Accounts(database=one.database, accounts=accounts_named(one.settings), listening=one.heard),
            OrganisationDirectory(one.database),
            Moments(database=one.database, now=utc_now),
            load_coverage(one.settings, one.database),
            KnownDrifts(database=one.database, now=utc_now) if one.settings.account_configuration is not None else None,
        ).routes(),
        *ami_routes(one.settings, one.database, one.ledger),
        *AccountPlanCalls(
            AppliedPlans(database=one.database, ledger=one.ledger, now=utc_now, on_work=one.working.wake)
        ).routes(),
        *OrganisationCalls(database=one.database, now=utc_now, lists_teams=not _fronts(one.settings)).routes(),
    ]


def _compliance(one: ServingParts) -> list[web.RouteDef]:
    """Return the routes of verdicts and violations."""
    covering, rules = one.covering, one.rules
    caller_bytes = one.limits.of("application_bytes_per_caller", "caller")
    return [
        *replay_routes(one.database, one.ledger.reader, one.engine),
        *summary_routes(one.settings, one.database, one.heard, covering, rules),
        *report_routes(one.settings, one.database, one.ledger, one.heard, covering, rules),
        *check_routes(one.settings, one.database, one.tracer, one.heard, rules, one.tags, one.working.wake),
        *role_check_routes(one.settings, one.database, one.allowed),
        *finding_routes(
            one.settings, one.database, one.ledger, covering.coverage, one.working.evaluating.wake, one.limits
        ),
        *one.violations.routes(one.signing_in.membership, one.tracer, one.heard, covering.coverage, caller_bytes),
        *fullstop_routes(one.violations, one.signing_in.membership, caller_bytes),
        *one.notifications.routes(),
    ]


def _operating(one: ServingParts) -> list[web.RouteDef]:
    """Return the routes of those who operate the aggregator."""
    return [
        *OperatorCalls(
            database=one.database, audience=one.settings.audience, console=one.settings.console is not False
        ).routes(),
        *one.operations.routes(
            one.database.families,
            one.questions.families,
            queue_families(one.speaking.ingest.queues, one.speaking.heartbeats.queues),
            log_families(one.publisher),
            own_rule_families(one.engine),
            one.notifications.measures.families,
            stored=all_of(stored_families(one.settings, one.database), one.notifications.measures.stored),
        ),
    ]


def _fronts(settings: Settings) -> bool:
    """Return whether `serve` serves the registry front too, whose `/teams` is Pier One's."""
    return settings.registry_front is not None and not settings.registry_front.alone


def _streamed(one: ServingParts) -> list[web.RouteDef]:
    """Return the log, the applications and their versions, whose long answers share their slots."""
    streams = Slots("streams", STREAMS_AT_ONCE_MAX)
    membership = one.signing_in.membership
    bundles = Bundles(database=one.database, ledger=one.ledger)
    return [
        *version_routes(one.settings, one.database, one.ledger, one.policy, one.limits, streams, membership),
        *LogCalls(ledger=one.ledger, publisher=one.publisher, bundles=bundles, streams=streams).routes(),
        *application_routes(
            one.database, one.ledger, one.limits, membership, streams, load_teams(one.settings, one.database),
            one.working.wake,
        ),
    ]  # fmt: skip
