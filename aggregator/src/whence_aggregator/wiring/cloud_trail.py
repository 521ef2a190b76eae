"""Wiring of CloudTrail: queues, buckets and keys with their roles, and what reads them."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from whence_aggregator.adapters.aws_clients import AssumedRole, ServiceClients
from whence_aggregator.adapters.log_file_readers import InProcesses, InThreads
from whence_aggregator.adapters.trail_keys import CloudTrailKeys
from whence_aggregator.adapters.trail_objects import S3TrailObjects, TrailBucket
from whence_aggregator.adapters.trail_queue import SqsQueue
from whence_aggregator.events.allowed import AllowedTrails
from whence_aggregator.events.coverage import TrailCoverage
from whence_aggregator.events.dead_box import DeadBox, Replaying
from whence_aggregator.events.digest_verifying import DigestVerifying
from whence_aggregator.events.file_reading import LogFileReading
from whence_aggregator.events.intake import TrailIntake
from whence_aggregator.events.ports import LogFileReader
from whence_aggregator.events.recorder import EventRecorder
from whence_aggregator.events.taking import DIGEST_KIND, LOG_KIND, REPLAY_KIND, MessagePlace, MessageTaker
from whence_aggregator.events.touching import TouchingEvents
from whence_aggregator.events.upkeep import TrailUpkeep
from whence_aggregator.http.events import EventCalls
from whence_aggregator.http.stored_counts import StoredCounts
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.organisation.allowed import AllowedAccounts
from whence_aggregator.ports import Database
from whence_aggregator.queries.events import KEEP_TRAIL_QUEUES
from whence_aggregator.queries.query import array
from whence_aggregator.settings.cloud_trail import CloudTrailSettings, TrailBucketSettings, TrailQueueSettings
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.moment import Moments
from whence_aggregator.wiring.findings import load_scanner_coverage
from whence_aggregator.wiring.parts import open_database
from whence_aggregator.work.task import Work
from whence_common.backoff import Backoff
from whence_common.clock import utc_now
from whence_common.open_metrics import Family

_SESSION_NAME = "whence-aggregator"
_FILES_AT_ONCE_MAX = 8
"""Log files in this process's memory, each up to 64 MiB compressed."""


@dataclass(slots=True)
class TrailReading:
    """What reads CloudTrail: kinds of tasks for the worker, and services. `wake` is set once the worker is there."""

    kinds: Mapping[str, Work] = field(default_factory=dict)
    services: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    wake: Callable[[], None] = lambda: None

    def woken(self) -> None:
        self.wake()


async def load_trail(
    settings: Settings, database: Database, ledger: Ledger, allowed: AllowedAccounts, stack: AsyncExitStack
) -> TrailReading:
    """Build what reads CloudTrail; nothing, unless cloud_trail is configured."""
    trail, found = settings.cloud_trail, TrailReading()
    await database.write(
        KEEP_TRAIL_QUEUES.bind([{"urls": array([one.url for one in trail.queues] if trail is not None else [])}])
    )
    if trail is None:
        return found
    clients = ServiceClients(endpoint_url=settings.aws_endpoint_url, session_name=_SESSION_NAME, clock=time.monotonic)
    stack.push_async_callback(clients.close)
    accepts = AllowedTrails(
        buckets={name: frozenset(one.accounts) for name, one in trail.buckets.items()},
        accounts=lambda: trail.accounts if trail.accounts is not None else allowed.names,
    )
    recorder = EventRecorder(ledger=ledger, now=utc_now, on_work=found.woken)
    taker = MessageTaker(
        database=database, recorder=recorder, allowed=accepts, verifies=trail.verify_digests, now=utc_now,
        on_work=found.woken,
    )  # fmt: skip
    buckets = {name: TrailBucket(one.region, _role(one, trail)) for name, one in trail.buckets.items()}
    objects = S3TrailObjects(clients=clients, buckets=buckets)
    reading = LogFileReading(
        database=database, objects=objects, reader=_reader(trail, stack), recorder=recorder, allowed=accepts,
        now=utc_now,
    )  # fmt: skip
    places = {
        one.url: MessagePlace(url=one.url, inline_accounts=one.event_bridge_accounts, topics=one.topics)
        for one in trail.queues
    }
    replaying = Replaying(
        box=DeadBox(database=database, now=utc_now), database=database, taker=taker, places=places, now=utc_now
    )
    found.kinds = {
        LOG_KIND: Work(handler=reading, under_way_max=_FILES_AT_ONCE_MAX),
        REPLAY_KIND: Work(handler=replaying),
        DIGEST_KIND: Work(
            handler=DigestVerifying(
                database=database, ledger=ledger, objects=objects,
                keys=CloudTrailKeys(clients=clients, role=_role(trail, trail)), allowed=accepts,
                days_max=trail.digest_days, now=utc_now, on_work=found.woken,
            ),
            under_way_max=_FILES_AT_ONCE_MAX,
        ),
    }  # fmt: skip
    backoff = Backoff(first_seconds=1.0, longest_seconds=300.0, random=random.random)
    found.services = {
        "trail upkeep": TrailUpkeep(database=database, digest_days=trail.digest_days, now=utc_now).run,
        **{
            f"trail {number}/{receiver}": TrailIntake(
                queue=SqsQueue(clients=clients, url=one.url, region=one.region, role=_role(one, trail)),
                place=places[one.url], database=database, taker=taker, backoff=backoff, now=utc_now,
            ).run
            for number, one in enumerate(trail.queues)
            for receiver in range(trail.receivers)
        },
    }  # fmt: skip
    return found


def load_coverage(settings: Settings, database: Database) -> TrailCoverage:
    """Return what shows how far events were read."""
    return TrailCoverage(database=database, configured=settings.cloud_trail is not None, now=utc_now)


def stored_families(settings: Settings, database: Database) -> Callable[[], Awaitable[Sequence[Family]]]:
    """Return the metrics from the database: its counts, how far events were read, and how scanners report."""
    counts, coverage = StoredCounts(database, now=utc_now), load_coverage(settings, database)
    scanners = load_scanner_coverage(settings, database)

    async def families() -> Sequence[Family]:
        of_scanners = await scanners.families(now=utc_now())
        return [*await counts.families(), *await coverage.families(), *of_scanners]

    return families


def event_routes(database: Database, moments: Moments, wake: Callable[[], None]) -> list[web.RouteDef]:
    """Return the calls about events and dead letters."""
    box = DeadBox(database=database, now=utc_now)
    return EventCalls(touching=TouchingEvents(database), box=box, moments=moments, wake=wake).routes()


@asynccontextmanager
async def opened_dead_box(location: str) -> AsyncIterator[DeadBox]:
    """Open the dead letters of a database for a command. Raises StorageUnavailable."""
    database = await open_database(location, "read")
    try:
        yield DeadBox(database=database, now=utc_now)
    finally:
        await database.close()


def _reader(trail: CloudTrailSettings, stack: AsyncExitStack) -> LogFileReader:
    if not trail.processes:
        return InThreads()
    reader = InProcesses(trail.processes)
    stack.push_async_callback(reader.close)
    return reader


def _role(
    one: TrailQueueSettings | TrailBucketSettings | CloudTrailSettings, trail: CloudTrailSettings
) -> AssumedRole | None:
    """Return the role of a place, else that of all; None for our own credentials."""
    stated = one if one.role_arn is not None else trail
    return AssumedRole(stated.role_arn, stated.external_id) if stated.role_arn is not None else None
