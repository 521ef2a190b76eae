"""Wiring of background work: the kinds of tasks, and the two services that do them, worker and evaluation."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.fact_recorder import FactRecorder
from whence_aggregator.collect.handlers import Asking, InventoryListing
from whence_aggregator.collect.inventory import InventoryCollector
from whence_aggregator.collect.range_tracking import RangeTracking
from whence_aggregator.collect.version_ranges import VersionRanges
from whence_aggregator.compliance.evaluating import Evaluating
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database
from whence_aggregator.projections.readings import resting_on
from whence_aggregator.trace.facts import AMI_KIND
from whence_aggregator.trace.version_commits import VersionCommitsReader
from whence_aggregator.trackers.places import KnownTrackers
from whence_aggregator.work.hour_shares import HourShares
from whence_aggregator.work.questions import (
    INVENTORY_KIND,
    ORGANISATION_KIND,
    RANGE_TRACKING_KIND,
    VERSION_COMMITS_KIND,
)
from whence_aggregator.work.task import Work
from whence_aggregator.work.worker import Worker
from whence_common.backoff import Backoff
from whence_common.clock import Now, utc_now


@dataclass(frozen=True, slots=True)
class Working:
    """The background services."""

    worker: Worker
    evaluating: Evaluating

    def wake(self, tasks: bool = True) -> None:
        """Wake the services after a write: there are instances to evaluate and, with `tasks`, maybe tasks to do."""
        self.evaluating.wake()
        if tasks:
            self.worker.wake()


def kinds_of(
    ledger: Ledger,
    collectors: Mapping[str, Collector],
    inventory: InventoryCollector | None,
    organisation: Work | None = None,
    *,
    further: Mapping[str, Work] | None = None,
    shares: HourShares | None = None,
    now: Now,
) -> dict[str, Work]:
    """Return the worker function of each kind of task."""
    if inventory is not None:
        collectors = {**collectors, AMI_KIND: inventory.amis}
    recorder = FactRecorder(ledger=ledger, collectors=collectors, now=now)
    asking = Work(handler=Asking(recorder=recorder, now=now, shares=shares))
    read = {ORGANISATION_KIND: organisation} if organisation is not None else {}
    own = {INVENTORY_KIND: Work(handler=InventoryListing(inventory)), **read, **(further or {})}
    return {**own, **dict.fromkeys(collectors, asking)}


def work_on_ranges(
    database: Database, reader: VersionCommitsReader | None, trackers: KnownTrackers, *, now: Now
) -> dict[str, Work]:
    """Return what asks about the commits between versions. `reader`: None where approvals are not judged."""
    return {
        VERSION_COMMITS_KIND: Work(handler=VersionRanges(database=database, reader=reader, now=now)),
        RANGE_TRACKING_KIND: Work(handler=RangeTracking(database=database, trackers=trackers, now=now)),
    }


def load_worker(
    database: Database, kinds: Mapping[str, Work], *, does: Callable[[str], bool] = lambda _: True
) -> Worker:
    """Return the worker; tests have clocks of their own. `does`: the kinds of tasks that this program does."""
    return Worker(
        database=database,
        kinds=kinds,
        now=utc_now,
        seconds=time.monotonic,
        backoff=Backoff(first_seconds=1.0, longest_seconds=600.0, random=random.random),
        marks=resting_on,
        does=does,
    )
