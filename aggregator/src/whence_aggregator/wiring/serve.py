"""Wiring of `serve`: builds the running services from the settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from whence_aggregator.adapters.rule_process import RuleProcess
from whence_aggregator.adapters.server_tls import ServerTls
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.rules.live import LiveRules
from whence_aggregator.http.readiness import Readiness
from whence_aggregator.http.server import Server
from whence_aggregator.ledger.publishing import Publisher
from whence_aggregator.projections.applications import index_applications
from whence_aggregator.projections.indexing import index_facts
from whence_aggregator.projections.silences import index_silences
from whence_aggregator.settings.server import Settings
from whence_aggregator.violations.following import Following
from whence_aggregator.wiring import parts, settings_files
from whence_aggregator.wiring.account_drift import load_account_drift
from whence_aggregator.wiring.agents import load_speaking
from whence_aggregator.wiring.answering import load_collectors, load_evaluators, load_tracer, load_working, traced_by
from whence_aggregator.wiring.approvals import load_policy
from whence_aggregator.wiring.cloud_trail import load_trail
from whence_aggregator.wiring.console import console_routes, load_console
from whence_aggregator.wiring.findings import load_findings
from whence_aggregator.wiring.front import load_behind, load_front
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.mint import load_served_mint
from whence_aggregator.wiring.notifications import load_notifications
from whence_aggregator.wiring.operations import (
    Operations,
    Program,
    answering,
    load_known,
    load_questions,
    load_reload,
)
from whence_aggregator.wiring.organisation import (
    load_allowed,
    load_directory,
    load_sources,
)
from whence_aggregator.wiring.outgoing import open_outgoing
from whence_aggregator.wiring.reports import (
    load_covering,
    load_snapshots,
)
from whence_aggregator.wiring.routes import ServingParts, load_routes
from whence_aggregator.wiring.rules import (
    load_rule_reload,
    open_rules,
    own_rules,
)
from whence_aggregator.wiring.sign_in import load_sign_in
from whence_aggregator.wiring.violations import load_violations
from whence_common.clock import utc_now
from whence_common.runtime.lifecycle import Service


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
        await index_silences(database, ledger.reader)
        engine = RuleProcess()
        stack.push_async_callback(engine.close)
        rules = LiveRules(await open_rules(settings, database, ledger, engine, now=utc_now))
        heard = await parts.load_listening(settings, database)
        policy = load_policy(settings)
        sources = load_sources(settings, session, database)
        tracer = load_tracer(settings, database, ledger, heard, policy, sources)
        behind = load_behind(settings, database, outgoing)
        images = parts.load_image_reader(settings, database, outgoing, behind.images if behind is not None else {})
        questions = load_questions(settings)
        allowed = load_allowed(settings, database)
        collectors = questions.of(await load_collectors(settings, database, outgoing, images, stack))
        trail = await load_trail(settings, database, ledger, allowed, stack)
        judging_by = load_evaluators(
            settings, database, ledger, tracer, heard, allowed, traced_by(settings, policy, sources),
            database_location or settings.database,
        )  # fmt: skip
        drift = await load_account_drift(settings, database, ledger, stack)
        mint = await load_served_mint(settings, database, ledger, outgoing, stack, heard)
        working = await load_working(
            settings, database, ledger, tracer, collectors, questions, heard, sources, allowed, trail,
            {**drift, **(mint.kinds if mint is not None else {})},
            judging_by(rules.current),
        )  # fmt: skip
        if mint is not None:
            mint.wake = working.wake
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
        opened = ServingParts(
            settings=settings, database=database, ledger=ledger, speaking=speaking, tracer=tracer, publisher=publisher,
            heard=heard, limits=limits, operations=operations, questions=questions, working=working, rules=rules,
            engine=engine, covering=load_covering(settings, database, allowed), tags=collectors["tag"],
            notifications=notifications, signing_in=signing_in, policy=policy, violations=violations, allowed=allowed,
            behind=behind, front=front, console=load_console(settings, database, outgoing),
            mint=mint,
        )  # fmt: skip

        def judge_by(changed: RulesInForce) -> None:
            rules.replace(changed)
            working.evaluating.replace(judging_by(changed))

        reloading, prepare_rules = load_rule_reload(
            settings, database, ledger, engine, replace=judge_by, count=operations.reloads.add, now=utc_now
        )
        reload = load_reload(operations, limits, settings, read, prepare_rules)
        yield Program(
            operations=operations,
            server=_server(opened, tls, listening),
            services={**_services(opened), "rules": reloading.run, **trail.services},
            reload=reload,
        )


def _server(opened: ServingParts, tls: ServerTls | None, listening: Callable[[int], None]) -> Server:
    settings, front = opened.settings, opened.front
    routes = load_routes(opened)
    readiness = opened.operations.readiness
    console = console_routes(opened.console, opened.signing_in, routes, lambda: readiness.draining)
    return Server(
        routes=routes,
        proving=[*(front.routes if front is not None else ()), *console],
        sign_in=opened.signing_in.sign_in,
        address=settings.listen_address,
        port=settings.listen_port,
        tls=tls.context if tls is not None else None,
        listening=listening,
        proxies=parts.load_proxies(settings),
        around=opened.operations.around,
        refused=opened.operations.refused,
    )


def _services(opened: ServingParts) -> dict[str, Service]:
    """Return what runs beside the server, by name."""
    front = opened.front
    return {
        "ingest": opened.speaking.ingest.run,
        "heartbeats": opened.speaking.heartbeats.run,
        "accounts": opened.allowed.run,
        "worker": opened.working.worker.run,
        "evaluation": opened.working.evaluating.run,
        "violations": Following(opened.violations.recorder).run,
        **opened.notifications.services,
        "publisher": opened.publisher.run,
        "snapshots": load_snapshots(opened.database, opened.ledger).run,
        "sign-in": opened.signing_in.run,
        "retention": parts.load_retention(opened.settings, opened.database, opened.ledger).run,
        **({"sources": front.sources.run, "front accounts": front.allowed.run} if front is not None else {}),
    }
