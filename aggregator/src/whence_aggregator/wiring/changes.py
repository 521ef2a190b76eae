"""Wiring of what differs and what changed; a collector of commits is handed in here."""

from __future__ import annotations

from aiohttp import web

from whence_aggregator.changes.arrivals import Arrivals
from whence_aggregator.changes.differ import Differ
from whence_aggregator.changes.ranges import NotCollected
from whence_aggregator.changes.record import ChangeRecord
from whence_aggregator.http.changes import ChangeCalls, DiffCalls
from whence_aggregator.ports import Database
from whence_aggregator.trace.tracer import Tracer


def change_routes(database: Database, tracer: Tracer) -> list[web.RouteDef]:
    """Return the routes of differences and of the change record."""
    ranges = NotCollected()
    arrivals = Arrivals(database=database, ranges=ranges)
    return [
        *DiffCalls(Differ(database=database, tracer=tracer, ranges=ranges)).routes(),
        *ChangeCalls(record=ChangeRecord(database=database, arrivals=arrivals), moments=tracer.moments).routes(),
    ]
