"""Kio's paths for applications, which the `kio` command uses unchanged, and what Whence adds for tickets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import web

from whence_aggregator.applications.applications import Applications, TicketSettings
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.membership import Membership
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JSON_HEADERS, JsonResponse, read_body, respond_json
from whence_aggregator.http.own_teams import check_reads_team
from whence_aggregator.http.parameters import Query, no_parameters
from whence_aggregator.http.slots import Slots
from whence_aggregator.http.streams import json_array, streamed
from whence_common.errors import InputError

_BODY_BYTES_MAX = 128 * 1024
_EQUAL = ("team_id", "incident_contact")
_NOT_SERVED = (
    ("/apps/{id}/versions", ("GET",)),
    ("/apps/{id}/versions/{version}", ("GET", "PUT")),
    ("/apps/{id}/versions/{version}/approvals", ("GET", "POST")),
    ("/apps/{id}/approvals", ("GET",)),
)
"""Kio answered these with empty lists and stored nothing."""


class KioCalls:
    """`/apps` as Kio answers it. What Kio has and Whence does not serve is refused, and never answered with a guess."""

    def __init__(self, *, applications: Applications, streams: Slots, membership: Membership) -> None:
        self._applications = applications
        self._streams = streams
        self._membership = membership

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/apps", self._list),
            web.get("/apps/{id}", self._read),
            web.put("/apps/{id}", self._write),
            *(web.route(method, path, self._not_served) for path, methods in _NOT_SERVED for method in methods),
            web.put("/v1/applications/{id}/tickets", self._tickets),
        ]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        query = Query(request, *_EQUAL, "active", "modified_after", "modified_before", "search", "at")
        if query.text("search") is not None:
            fix = f"filter with {', '.join(_EQUAL)}, active, modified_after or modified_before"
            raise InputError("search-not-served", "Kio's full text search is not served here", fix=fix)
        equal = {name: value for name in _EQUAL if (value := query.text(name)) is not None}
        active = query.choice("active", ("true", "false"))
        after, before = query.instant("modified_after"), query.instant("modified_before")

        def wanted(application: dict[str, Any]) -> bool:
            return (
                all(application[name] == value for name, value in equal.items())
                and (active is None or application["active"] is (active == "true"))
                and (after is None or application["last_modified"] >= after)
                and (before is None or application["last_modified"] <= before)
            )

        async def pages() -> AsyncIterator[list[dict[str, Any]]]:
            async for page in self._applications.pages(at=query.instant("at")):
                yield [one for one in page if wanted(one)]

        with self._streams.take(request, request[CALLER].name):
            return await streamed(request, JSON_HEADERS, json_array(pages()))

    async def _read(self, request: web.Request) -> JsonResponse:
        at = Query(request, "at").instant("at")
        found = await self._applications.read(request.match_info["id"], at=at)
        check_reads_team(request[CALLER], found["team_id"])
        return respond_json(found)

    async def _not_served(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        message = "Whence keeps no versions and no approvals of applications"
        raise InputError("not-served", message, fix="ask /v1/trace?application=… for the versions that run")

    async def _write(self, request: web.Request) -> web.Response:
        no_parameters(request)
        written = await _object(request)
        stored = await self._applications.team_of(request.match_info["id"])
        caller = await self._writing(request, stored if stored is not None else written.get("team_id"))
        await self._applications.write(request.match_info["id"], written, caller)
        return web.Response(status=200)

    async def _tickets(self, request: web.Request) -> web.Response:
        no_parameters(request)
        try:
            settings = msgspec.convert(await _object(request), TicketSettings)
        except msgspec.ValidationError as exc:
            fix = 'write {"patterns": ["PAY-{number}"], "url": "https://tickets.example.org/{ticket}"}'
            raise InputError("tickets-malformed", str(exc), fix=fix) from exc
        caller = await self._writing(request, await self._applications.team_of(request.match_info["id"]))
        await self._applications.write_tickets(request.match_info["id"], settings, caller)
        return web.Response(status=200)

    async def _writing(self, request: web.Request, team: object) -> Caller:
        """Return the caller, with the team where only the team service knows that it writes for it."""
        return await self._membership.assured(request[CALLER], team) if isinstance(team, str) else request[CALLER]


async def _object(request: web.Request) -> dict[str, object]:
    if request.content_type != "application/json":
        raise web.HTTPNotAcceptable(reason="the body must be application/json")
    content = await read_body(request, _BODY_BYTES_MAX)
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError("body-not-json", "the body is not JSON") from exc
    if not isinstance(document, dict):
        raise InputError("body-not-object", "the body is not a JSON object")
    return document
