"""Wiring of what differs and what changed."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.changes.arrivals import Arrivals
from whence_aggregator.changes.collected import CollectedRanges
from whence_aggregator.changes.counted import ApprovalCounts
from whence_aggregator.changes.differ import Differ
from whence_aggregator.changes.newest import NewestRecord
from whence_aggregator.changes.record import ChangeRecord
from whence_aggregator.changes.tracked import TrackedCommits
from whence_aggregator.collect.ranges import Ranges
from whence_aggregator.http.changes import ChangeCalls, DiffCalls
from whence_aggregator.ports import Database
from whence_aggregator.trace.tracer import Tracer
from whence_common.clock import utc_now


def change_routes(database: Database, tracer: Tracer) -> list[web.RouteDef]:
    """Return the routes of differences and of the change record."""
    ranges = CollectedRanges(Ranges(database=database, now=utc_now))
    tracked = TrackedCommits(database=database, trackers=tracer.trackers, now=utc_now)
    counts = ApprovalCounts(database=database, reader=tracer.commits, policy=tracer.policy)
    arrivals = Arrivals(database=database, ranges=ranges, tracked=tracked, counts=counts)
    record = ChangeRecord(database=database, arrivals=arrivals)
    newest = NewestRecord(database=database, record=record)
    return [
        *DiffCalls(Differ(database=database, tracer=tracer, ranges=ranges, tracked=tracked)).routes(),
        *ChangeCalls(record=record, newest=newest, moments=tracer.moments).routes(),
    ]
