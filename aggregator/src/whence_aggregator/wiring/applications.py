"""Wiring of the application registry: Kio's paths and `/v1/applications`."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from whence_aggregator.applications.applications import Applications
from whence_aggregator.applications.entries import ApplicationEntries
from whence_aggregator.applications.handovers import Handovers
from whence_aggregator.applications.history import ApplicationHistory
from whence_aggregator.applications.listing import ApplicationLists
from whence_aggregator.applications.teams import AnyTeam
from whence_aggregator.callers.membership import Membership
from whence_aggregator.http.applications import ApplicationCalls
from whence_aggregator.http.kio import KioCalls
from whence_aggregator.http.slots import Slots
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database
from whence_aggregator.wiring.limits import LiveLimits
from whence_common.clock import utc_now


def application_routes(
    database: Database,
    ledger: Ledger,
    limits: LiveLimits,
    membership: Membership,
    streams: Slots,
    on_work: Callable[[], None],
) -> list[web.RouteDef]:
    """Return the routes of the application registry."""
    entries = ApplicationEntries(
        caller_bytes=limits.of("application_bytes_per_caller", "caller"),
        team_bytes=limits.of("application_bytes_per_team", "team"),
        now=utc_now,
    )
    teams = AnyTeam()
    applications = Applications(
        database=database, ledger=ledger, entries=entries, teams=teams, now=utc_now, on_work=on_work
    )
    handovers = Handovers(database=database, ledger=ledger, entries=entries, teams=teams, now=utc_now, on_work=on_work)
    lists = ApplicationLists(database=database, now=utc_now)
    history = ApplicationHistory(database=database, now=utc_now)
    return [
        *KioCalls(applications=applications, lists=lists, streams=streams, membership=membership).routes(),
        *ApplicationCalls(
            applications=applications, lists=lists, history=history, handovers=handovers, membership=membership
        ).routes(),
    ]
