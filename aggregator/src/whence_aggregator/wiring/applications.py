"""Wiring of the application registry: Kio's paths and `/v1/applications`."""

from __future__ import annotations

from collections.abc import Callable, Collection

from aiohttp import web

from whence_aggregator.applications.applications import Applications
from whence_aggregator.applications.entries import ApplicationEntries
from whence_aggregator.applications.handovers import Handovers
from whence_aggregator.applications.history import ApplicationHistory
from whence_aggregator.applications.listing import ApplicationLists
from whence_aggregator.applications.teams import AnyTeam, TeamLookup
from whence_aggregator.callers.membership import Membership
from whence_aggregator.http.applications import ApplicationCalls
from whence_aggregator.http.kio import KioCalls
from whence_aggregator.http.slots import Slots
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.organisation.directory import OrganisationDirectory, team_of
from whence_aggregator.ports import Database, SourceUnavailable
from whence_aggregator.settings.server import Settings
from whence_aggregator.wiring.limits import LiveLimits
from whence_aggregator.wiring.organisation import LISTING_TEAMS, load_directory, sources_in
from whence_common.clock import utc_now


class OrganisationTeams:
    """The teams that the organisation's sources state, by their ids; an alias is no id.

    `listing` are the sources that list every team. That there is no such team is known once each of them was read
    whole.
    """

    def __init__(self, directory: OrganisationDirectory, listing: Collection[str]) -> None:
        self._directory = directory
        self._listing = frozenset(listing)

    async def exists(self, team_id: str) -> bool:
        """Return whether a source states the team. Raises SourceUnavailable while one of them was never read."""
        if team_of((await self._directory.resolve([team_id]))[team_id]) == team_id:
            return True
        read = {one.source for one in await self._directory.sources() if one.read_at is not None}
        unread = sorted(self._listing - read)
        if unread:
            message = f"whether there is this team is not known: no reading of {', '.join(unread)} has ended yet"
            raise SourceUnavailable("teams-not-read", message, fix="try again; GET /v1/teams shows why it fails")
        return False


def load_teams(settings: Settings, database: Database) -> TeamLookup:
    """Return the lookup of teams: any team exists unless a source that states teams is configured."""
    listing = sources_in(settings) & LISTING_TEAMS
    return OrganisationTeams(load_directory(settings, database), listing) if listing else AnyTeam()


def application_routes(
    database: Database,
    ledger: Ledger,
    limits: LiveLimits,
    membership: Membership,
    streams: Slots,
    teams: TeamLookup,
    on_work: Callable[[], None],
) -> list[web.RouteDef]:
    """Return the routes of the application registry."""
    entries = ApplicationEntries(
        caller_bytes=limits.of("application_bytes_per_caller", "caller"),
        team_bytes=limits.of("application_bytes_per_team", "team"),
        now=utc_now,
    )
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
