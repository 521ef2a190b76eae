"""Wiring of `serve`: builds the running services from the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web

from whence_aggregator.adapters.rule_process import RuleProcess
from whence_aggregator.applications.teams import TeamLookup
from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.audit.bundle import Bundles
from whence_aggregator.collect.accounts import Accounts
from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.image_reader import RegistryImageReader
from whence_aggregator.collect.kept_answers import KeptAnswers
from whence_aggregator.collect.measured import Questions
from whence_aggregator.compliance.evaluate import Evaluator
from whence_aggregator.compliance.evaluating import Evaluating
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.rules.live import LiveRules
from whence_aggregator.http.accounts import AccountCalls
from whence_aggregator.http.agents import AgentCalls
from whence_aggregator.http.log import LogCalls
from whence_aggregator.http.operators import OperatorCalls
from whence_aggregator.http.organisation import OrganisationCalls
from whence_aggregator.http.queries import QueryCalls
from whence_aggregator.http.readiness import Readiness
from whence_aggregator.http.server import Server
from whence_aggregator.http.sign_in import SignInCalls
from whence_aggregator.http.slots import STREAMS_AT_ONCE_MAX, Slots
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.publishing import Publisher
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.ports import Database
from whence_aggregator.projections.applications import index_applications
from whence_aggregator.projections.indexing import index_facts
from whence_aggregator.settings.server import Settings, accounts_named
from whence_aggregator.storage.measured import MeasuredDatabase
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import Moments
from whence_aggregator.trace.search import Search
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.violations.following import Following
from whence_aggregator.wiring import parts, settings_files
from whence_aggregator.wiring.agents import Speaking, load_speaking
from whence_aggregator.wiring.applications import application_routes, load_teams
from whence_aggregator.wiring.approvals import load_policy, version_routes
from whence_aggregator.wiring.changes import change_routes
from whence_aggregator.wiring.cloud_trail import TrailReading, event_routes, load_coverage, load_trail, stored_families
from whence_aggregator.wiring.findings import finding_routes, load_findings
from whence_aggregator.wiring.front import load_behind, load_front
from whence_aggregator.wiring.fullstop import fullstop_routes, instance_log_routes
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.notifications import Notifications, load_notifications
from whence_aggregator.wiring.operations import (
    Operations,
    Program,
    all_of,
    answering,
    load_known,
    load_questions,
    load_reload,
    log_families,
    queue_families,
)
from whence_aggregator.wiring.organisation import (
    OrganisationSources,
    load_allowed,
    load_directory,
    load_organisation,
    load_sources,
)
from whence_aggregator.wiring.outgoing import Outgoing, open_outgoing
from whence_aggregator.wiring.replays import replay_routes
from whence_aggregator.wiring.reports import (
    Covering,
    check_routes,
    load_covering,
    load_snapshots,
    report_routes,
    role_check_routes,
    summary_routes,
)
from whence_aggregator.wiring.rules import (
    covered_accounts,
    load_evaluator,
    load_rule_reload,
    open_rules,
    own_rule_families,
    own_rules,
    scanned_images,
)
from whence_aggregator.wiring.sign_in import SigningIn, load_sign_in
from whence_aggregator.wiring.trackers import known_trackers, load_tracker_collectors, note_trackers
from whence_aggregator.wiring.violations import LivingViolations, load_violations
from whence_aggregator.wiring.work import Working, kinds_of, load_worker, work_on_ranges
from whence_aggregator.work.hour_shares import HourShares
from whence_common.clock import utc_now


def _tracer(
    settings: Settings,
    database: Database,
    ledger: Ledger,
    listening: Listening,
    policy: ApprovalPolicy | None,
    sources: OrganisationSources,
) -> Tracer:
    search = Search(database=database, listening=listening)
    log = parts.NewestLog(ledger)
    return Tracer(
        database=database,
        search=search,
        log=log,
        now=utc_now,
        listening=listening,
        required=parts.required_links(settings),
        organisation={str(source): seconds for source, seconds in sources.seconds.items()},
        approvals=policy,
        trackers=known_trackers(settings),
        git_hosts=frozenset(settings.git_servers),
    )


async def _collectors(
    settings: Settings, database: Database, outgoing: Outgoing, images: RegistryImageReader, stack: AsyncExitStack
) -> dict[str, Collector]:
    """Return what reads registries, Git servers, code hosts and trackers. Answers to keep are written at the end."""
    await note_trackers(settings, database)
    kept = KeptAnswers(database=database, now=utc_now)
    stack.push_async_callback(kept.close)
    trackers, protection = load_tracker_collectors(settings, database, kept, outgoing)
    return {**parts.load_collectors(settings, images, outgoing.session, protection), **trackers}


def _evaluators(
    settings: Settings, database: Database, ledger: Ledger, tracer: Tracer, listening: Listening,
    allowed: AllowedAccounts,
) -> Callable[[RulesInForce], Evaluator]:  # fmt: skip
    """Return what makes the evaluator that judges by given rules."""
    return lambda rules: load_evaluator(
        database, ledger, tracer, listening, rules, now=utc_now, trackers=known_trackers(settings),
        accounts=covered_accounts(settings, database, allowed), images=scanned_images(settings, database),
    )  # fmt: skip


async def _working(
    settings: Settings,
    database: Database,
    ledger: Ledger,
    tracer: Tracer,
    collectors: Mapping[str, Collector],
    questions: Questions,
    listening: Listening,
    sources: OrganisationSources,
    allowed: AllowedAccounts,
    trail: TrailReading,
    evaluator: Evaluator,
) -> Working:
    inventory = await parts.load_inventory(settings, database, ledger, questions)
    organisation = await load_organisation(settings, database, ledger, sources, allowed, inventory)
    reader = tracer.commits if settings.approvals is not None else None
    ranges = work_on_ranges(database, reader, known_trackers(settings), now=utc_now)
    shares = HourShares({host: one.questions_per_hour_max for host, one in settings.trackers.items()}, utc_now)
    further = {**ranges, **trail.kinds}
    kinds = kinds_of(ledger, collectors, inventory, organisation, further=further, shares=shares, now=utc_now)
    working = Working(load_worker(database, kinds), Evaluating(evaluator))
    trail.wake = working.wake
    return working


def _routes(
    settings: Settings,
    database: MeasuredDatabase,
    ledger: Ledger,
    speaking: Speaking,
    tracer: Tracer,
    publisher: Publisher,
    heard: Listening,
    limits: LiveLimits,
    operations: Operations,
    questions: Questions,
    wake: Callable[[], None],
    rules: LiveRules,
    engine: RuleProcess,
    covering: Covering,
    tags: Collector,
    notifications: Notifications,
) -> list[web.RouteDef]:
    """Return all routes except those of the log, the applications and the registry."""
    challenges = limits.of_challenges()
    return [
        *AgentCalls(
            enrolments=speaking.enrolments,
            ingest=speaking.ingest,
            heartbeats=speaking.heartbeats,
            publisher=publisher,
            challenges=challenges,
        ).routes(),
        *QueryCalls(database=database, log=ledger.reader, search=tracer.search, tracer=tracer, rules=rules).routes(),
        *change_routes(database, tracer),
        *replay_routes(database, ledger.reader, engine),
        *event_routes(database, tracer.moments, wake),
        *AccountCalls(
            Accounts(database=database, accounts=accounts_named(settings), listening=heard),
            OrganisationDirectory(database),
            Moments(database=database, now=utc_now),
            load_coverage(settings, database),
        ).routes(),
        *OrganisationCalls(database=database, now=utc_now, lists_teams=not _fronts(settings)).routes(),
        *summary_routes(database, heard, covering, rules),
        *report_routes(database, ledger, heard, covering, rules),
        *check_routes(settings, database, tracer, heard, rules, tags, wake),
        *notifications.routes(),
        *OperatorCalls(database=database, audience=settings.audience).routes(),
        *operations.routes(
            database.families,
            questions.families,
            queue_families(speaking.ingest.queues, speaking.heartbeats.queues),
            log_families(publisher),
            own_rule_families(engine),
            notifications.measures.families,
            stored=all_of(stored_families(settings, database), notifications.measures.stored),
        ),
    ]


def _fronts(settings: Settings) -> bool:
    """Return whether `serve` serves the registry front too, whose `/teams` is Pier One's."""
    return settings.registry_front is not None and not settings.registry_front.alone


def _streamed(
    settings: Settings,
    database: Database,
    ledger: Ledger,
    publisher: Publisher,
    limits: LiveLimits,
    working: Working,
    signing_in: SigningIn,
    teams: TeamLookup,
    policy: ApprovalPolicy | None,
    violations: LivingViolations,
    heard: Listening,
    covering: Covering,
) -> list[web.RouteDef]:
    """Return the log, the applications and their versions, whose long answers share their slots."""
    streams, caller_bytes = Slots("streams", STREAMS_AT_ONCE_MAX), limits.of("application_bytes_per_caller", "caller")
    bundles = Bundles(database=database, ledger=ledger)
    return [
        *version_routes(settings, database, ledger, policy, limits, streams, signing_in.membership),
        *LogCalls(ledger=ledger, publisher=publisher, bundles=bundles, streams=streams).routes(),
        *application_routes(database, ledger, limits, signing_in.membership, streams, teams, working.wake),
        *finding_routes(settings, database, ledger, covering.coverage, working.evaluating.wake),
        *violations.routes(signing_in.membership, heard, covering.coverage, caller_bytes),
        *fullstop_routes(violations, signing_in.membership, caller_bytes),
    ]


async def run_aggregator(
    settings: Settings,
    *,
    read: Callable[[], Settings],
    database_location: str | None,
    listening: Callable[[int], None],
) -> None:
    """Run the aggregator until a signal ends it; `read` reads the settings again.

    Raises WhenceError or OSError when it cannot start.
    """
    async with opened_aggregator(
        settings, read=read, database_location=database_location, listening=listening
    ) as program:
        await program.run()


@asynccontextmanager
async def opened_aggregator(
    settings: Settings,
    *,
    read: Callable[[], Settings],
    database_location: str | None,
    listening: Callable[[int], None],
) -> AsyncIterator[Program]:
    """Open the parts of the aggregator for the block's duration. Raises WhenceError or OSError."""
    authorities = settings_files.load_authorities(settings.authorities_directory)
    own_rules(settings)
    settings_files.load_callers(settings.tokens_file)  # an invalid file ends the start before a database is opened
    tls = settings_files.load_tls(settings)
    async with AsyncExitStack() as stack:
        database = await parts.open_measured(settings, database_location, stack)
        known = load_known(settings, database)
        session = await stack.enter_async_context(parts.new_session())
        outgoing = open_outgoing(session, stack)
        await parts.check_heartbeat_secret(settings, database)
        witnesses = parts.load_witnesses(settings, session)
        beside = Path(f"{settings.checkpoint_file}.registry")
        ledger = await parts.start_ledger(settings, database, stack, witnesses=witnesses, beside=beside)
        await index_applications(database)
        await index_facts(database)
        engine = RuleProcess()
        stack.push_async_callback(engine.close)
        rules = LiveRules(await open_rules(settings, database, ledger, engine, now=utc_now))
        heard = await parts.load_listening(settings, database)
        policy = load_policy(settings)
        sources = load_sources(settings, session, database)
        tracer = _tracer(settings, database, ledger, heard, policy, sources)
        behind = load_behind(settings, database, outgoing)
        images = parts.load_image_reader(settings, database, outgoing, behind.images if behind is not None else {})
        questions = load_questions(settings)
        allowed = load_allowed(settings, database)
        collectors = questions.of(await _collectors(settings, database, outgoing, images, stack))
        trail = await load_trail(settings, database, ledger, allowed, stack)
        judging_by = _evaluators(settings, database, ledger, tracer, heard, allowed)
        working = await _working(
            settings, database, ledger, tracer, collectors, questions, heard, sources, allowed, trail,
            judging_by(rules.current),
        )  # fmt: skip
        covering = load_covering(settings, database, allowed)
        limits = LiveLimits(settings.limits)
        speaking = await load_speaking(
            settings, database, ledger, working, authorities, session, heard, limits, stack, allowed
        )
        publisher = Publisher(
            database=database, ledger=ledger, witnesses=witnesses, seconds=settings.checkpoint_seconds
        )
        signing_in = load_sign_in(settings, database, known.callers, session, limits, stack)
        front = None
        if behind is not None and not behind.settings.alone:
            front = load_front(
                settings, behind, database, ledger, images, collectors, signing_in, limits, session, working.wake
            )
        violations = load_violations(
            database, ledger, load_directory(settings, database), load_findings(settings, database), now=utc_now,
            rules=rules, reads_events=settings.cloud_trail is not None, listening=heard,
        )  # fmt: skip
        notifications = load_notifications(settings, database, outgoing)
        operations = Operations(
            "serve", settings, readiness=Readiness(answering(database)), tls=tls, known=known,
            signing_in=signing_in,
        )  # fmt: skip
        server = Server(
            routes=[
                *_routes(
                    settings,
                    database,
                    ledger,
                    speaking,
                    tracer,
                    publisher,
                    heard,
                    limits,
                    operations,
                    questions,
                    working.wake,
                    rules,
                    engine,
                    covering,
                    collectors["tag"],
                    notifications,
                ),
                *_streamed(
                    settings,
                    database,
                    ledger,
                    publisher,
                    limits,
                    working,
                    signing_in,
                    load_teams(settings, database),
                    policy,
                    violations,
                    heard,
                    covering,
                ),
                *role_check_routes(settings, allowed),
                *instance_log_routes(settings, database, ledger, allowed, limits),
                *SignInCalls(signing_in.sign_in, signing_in.command_clients).routes(),
                *(behind.listing_routes(database) if behind is not None else []),
                *(front.agent_routes if front is not None else []),
            ],
            proving=front.routes if front is not None else (),
            sign_in=signing_in.sign_in,
            address=settings.listen_address,
            port=settings.listen_port,
            tls=tls.context if tls is not None else None,
            listening=listening,
            proxies=parts.load_proxies(settings),
            around=operations.around,
            refused=operations.refused,
        )

        def judge_by(changed: RulesInForce) -> None:
            rules.replace(changed)
            working.evaluating.replace(judging_by(changed))

        reloading, prepare_rules = load_rule_reload(
            settings, database, ledger, engine, replace=judge_by, count=operations.reloads.add, now=utc_now
        )
        services = {
            "ingest": speaking.ingest.run,
            "rules": reloading.run,
            "heartbeats": speaking.heartbeats.run,
            "accounts": allowed.run,
            "worker": working.worker.run,
            **trail.services,
            "evaluation": working.evaluating.run,
            "violations": Following(violations.recorder).run,
            **notifications.services,
            "publisher": publisher.run,
            "snapshots": load_snapshots(database, ledger).run,
            "sign-in": signing_in.run,
            "retention": parts.load_retention(settings, database, ledger).run,
            **({"sources": front.sources.run, "front accounts": front.allowed.run} if front is not None else {}),
        }
        reload = load_reload(operations, limits, settings, read, prepare_rules)
        yield Program(operations=operations, server=server, services=services, reload=reload)
