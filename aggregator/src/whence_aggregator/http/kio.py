"""Kio's paths for applications, which the `kio` command uses unchanged."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from aiohttp import web

from whence_aggregator.applications.applications import Applications
from whence_aggregator.applications.listing import ApplicationLists, WantedApplications
from whence_aggregator.applications.search import Sought
from whence_aggregator.callers.membership import Membership
from whence_aggregator.http.application_bodies import conditions_of, read_object, tagged, teams_named
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JSON_HEADERS, JsonResponse, respond_json
from whence_aggregator.http.own_teams import check_reads_team
from whence_aggregator.http.parameters import Query, no_parameters
from whence_aggregator.http.slots import Slots
from whence_aggregator.http.streams import json_array, streamed
from whence_common.clock import to_instant
from whence_common.errors import InputError
from whence_common.identifiers import is_application_id

_FILTERS = ("search", "team_id", "incident_contact", "active", "modified_before", "modified_after", "at")
_LOST_PLUS = re.compile(r" (?=[0-9]{2}:?[0-9]{2}\Z)")
"""The `+` of an offset that was not percent-encoded."""


class KioCalls:
    """`/apps` as Kio answers it. What Kio has and Whence does not serve is refused, and never answered with a guess."""

    def __init__(
        self, *, applications: Applications, lists: ApplicationLists, streams: Slots, membership: Membership
    ) -> None:
        self._applications = applications
        self._lists = lists
        self._streams = streams
        self._membership = membership

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/apps", self._list),
            web.get("/apps/{id}", self._read),
            web.put("/apps/{id}", self._write),
        ]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        query = Query(request, *_FILTERS)
        search, active = query.text("search"), query.choice("active", ("true", "false"))
        wanted = WantedApplications(
            sought=Sought.parse(search) if search is not None else None,
            team=query.text("team_id"),
            team_as_written=not request[CALLER].reads_everything,
            incident_contact=query.text("incident_contact"),
            active=active == "true" if active is not None else None,
            modified_after=_date_time(query, "modified_after"),
            modified_before=_date_time(query, "modified_before"),
            at=query.instant("at"),
        )
        with self._streams.take(request, request[CALLER].name):
            pages: AsyncIterator[Sequence[object]] = self._lists.pages(wanted)
            return await streamed(request, JSON_HEADERS, json_array(pages))

    async def _read(self, request: web.Request) -> JsonResponse:
        at = Query(request, "at").instant("at")
        if not is_application_id(request.match_info["id"]):
            raise InputError("application-id-malformed", "the id must be lower-case letters, digits and hyphens")
        found = await self._applications.read_kio(request.match_info["id"], at=at)
        check_reads_team(request[CALLER], found.shown["team_id"])
        return tagged(respond_json(found.shown), found.revision)

    async def _write(self, request: web.Request) -> web.Response:
        no_parameters(request)
        application_id, conditions = request.match_info["id"], conditions_of(request)
        if request.content_type != "application/json":
            raise web.HTTPNotAcceptable(reason="the body must be application/json")
        written = await read_object(request)
        teams = teams_named(await self._applications.team_of(application_id), written.get("team_id"))
        caller = await self._membership.assured_for(request[CALLER], teams)
        revision = await self._applications.write(application_id, written, caller, conditions=conditions)
        return tagged(web.Response(status=200), revision)


def _date_time(query: Query, name: str) -> str | None:
    """Return a time as Kio accepted it: a date, or a date and time of ISO 8601, in UTC without an offset."""
    text = query.text(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(_LOST_PLUS.sub("+", text))
        return to_instant(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as exc:
        raise InputError("parameter-malformed", f"{name}: {exc}", fix="write it like 2026-11-22T12:00:00Z") from exc
