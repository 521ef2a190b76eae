"""Wiring of what answers and judges: the tracer, what asks the outside, the evaluator and the worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack

from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.image_reader import RegistryImageReader
from whence_aggregator.collect.kept_answers import KeptAnswers
from whence_aggregator.collect.measured import Questions
from whence_aggregator.compliance.evaluate import Evaluator
from whence_aggregator.compliance.evaluating import Evaluating
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.mint.store import MINT_KIND
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.ports import Database
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.search import Search
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.wiring import parts
from whence_aggregator.wiring.cloud_trail import TrailReading
from whence_aggregator.wiring.judging import TracedBy, load_judge_process
from whence_aggregator.wiring.organisation import (
    OrganisationSources,
    load_organisation,
)
from whence_aggregator.wiring.outgoing import Outgoing
from whence_aggregator.wiring.rules import (
    covered_accounts,
    load_evaluator,
    scanned_images,
)
from whence_aggregator.wiring.settings_files import trusted_ami_builders
from whence_aggregator.wiring.trackers import known_trackers, load_tracker_collectors, note_trackers
from whence_aggregator.wiring.work import Working, kinds_of, load_worker, work_on_ranges
from whence_aggregator.work.hour_shares import HourShares
from whence_aggregator.work.task import Work
from whence_common.clock import utc_now


def load_tracer(
    settings: Settings,
    database: Database,
    ledger: Ledger,
    listening: Listening,
    policy: ApprovalPolicy | None,
    sources: OrganisationSources,
) -> Tracer:
    search = Search(database=database, listening=listening)
    log = parts.NewestLog(ledger)
    by = traced_by(settings, policy, sources)
    return Tracer(
        database=database,
        search=search,
        log=log,
        now=utc_now,
        listening=listening,
        required=parts.required_links(settings),
        organisation=by.organisation,
        approvals=by.approvals,
        trackers=by.trackers,
        git_hosts=by.git_hosts,
        ami_builders=by.ami_builders,
    )


def traced_by(settings: Settings, policy: ApprovalPolicy | None, sources: OrganisationSources) -> TracedBy:
    """Return what the settings state for a tracer, in this process or in the one that judges backlogs."""
    return TracedBy(
        organisation={str(source): seconds for source, seconds in sources.seconds.items()},
        approvals=policy,
        trackers=known_trackers(settings),
        git_hosts=frozenset(settings.git_servers),
        ami_builders=trusted_ami_builders(settings),
    )


async def load_collectors(
    settings: Settings, database: Database, outgoing: Outgoing, images: RegistryImageReader, stack: AsyncExitStack
) -> dict[str, Collector]:
    """Return what reads registries, Git servers, code hosts and trackers. Answers to keep are written at the end."""
    await note_trackers(settings, database)
    kept = KeptAnswers(database=database, now=utc_now)
    stack.push_async_callback(kept.close)
    trackers, protection = load_tracker_collectors(settings, database, kept, outgoing)
    return {**parts.load_collectors(settings, images, outgoing.session, protection), **trackers}


def load_evaluators(
    settings: Settings, database: Database, ledger: Ledger, tracer: Tracer, listening: Listening,
    allowed: AllowedAccounts, traced: TracedBy, location: str,
) -> Callable[[RulesInForce], Evaluator]:  # fmt: skip
    """Return what makes the evaluator that judges by given rules; `location` is the database's."""
    return lambda rules: load_evaluator(
        database, ledger, tracer, listening, rules, now=utc_now, trackers=known_trackers(settings),
        accounts=covered_accounts(settings, database, allowed), images=scanned_images(settings, database),
        elsewhere=load_judge_process(location, traced, rules, listening, wanted=settings.judging_process),
    )  # fmt: skip


async def load_working(
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
    beside: Mapping[str, Work],
    evaluator: Evaluator,
) -> Working:
    inventory = await parts.load_inventory(settings, database, ledger, questions)
    organisation = await load_organisation(settings, database, ledger, sources, allowed, inventory)
    reader = tracer.commits if settings.approvals is not None else None
    ranges = work_on_ranges(database, reader, known_trackers(settings), now=utc_now)
    shares = HourShares({host: one.questions_per_hour_max for host, one in settings.trackers.items()}, utc_now)
    left = frozenset({MINT_KIND}) - beside.keys()  # tasks of mint where it runs alone
    further = {**ranges, **trail.kinds, **beside}
    kinds = kinds_of(ledger, collectors, inventory, organisation, further=further, shares=shares, now=utc_now)
    working = Working(load_worker(database, kinds, does=lambda kind: kind not in left), Evaluating(evaluator))
    trail.wake = working.wake
    return working
