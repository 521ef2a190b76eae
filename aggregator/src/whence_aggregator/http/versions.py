"""Versions and approvals: Kio's paths, which the `kio` command of 2017 uses unchanged, and ours beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from whence_aggregator.approvals.asking import approving_teams, checked_type
from whence_aggregator.approvals.shown import kio_approval, kio_listed, kio_version, shown_version
from whence_aggregator.approvals.values import Version
from whence_aggregator.approvals.versions import ApprovalAsked, Versions
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.membership import Membership
from whence_aggregator.http.application_bodies import read_object
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JSON_HEADERS, JsonResponse, respond_json
from whence_aggregator.http.own_teams import check_reads_team
from whence_aggregator.http.parameters import Query, no_parameters
from whence_aggregator.http.slots import Slots
from whence_aggregator.http.streams import json_array, streamed
from whence_aggregator.ports import Conflict, Database, NotFound
from whence_aggregator.trace.built_from import built_from
from whence_aggregator.trace.moment import Moment, Moments
from whence_aggregator.trace.registered import repositories_of, trackers_of
from whence_aggregator.trace.version_authors import VersionAuthors
from whence_aggregator.trackers.places import NO_TRACKERS, KnownTrackers
from whence_aggregator.trackers.stated import OwnPlaces, withheld_repository
from whence_common.clock import Now
from whence_common.errors import InputError

_BODY_BYTES_MAX = 32 * 1024
_PUT_KEYS, _POST_KEYS = {"artifact", "notes"}, {"approval_type", "notes", "digest", "application_id", "version_id"}


class VersionCalls:
    """`/apps/{id}/versions…` as Kio once answered it, and `/v1/applications/{id}/versions…`."""

    def __init__(
        self,
        *,
        versions: Versions,
        database: Database,
        streams: Slots,
        membership: Membership,
        authors: VersionAuthors,
        trackers: KnownTrackers = NO_TRACKERS,
        now: Now,
    ) -> None:
        self._trackers = trackers
        self._versions = versions
        self._authors = authors
        self._database = database
        self._streams = streams
        self._membership = membership
        self._moments = Moments(database=database, now=now)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/apps/{id}/versions", self._list),
            web.get("/apps/{id}/versions/{version}", self._read),
            web.put("/apps/{id}/versions/{version}", self._write),
            web.get("/apps/{id}/versions/{version}/approvals", self._approvals),
            web.post("/apps/{id}/versions/{version}/approvals", self._approve),
            web.get("/apps/{id}/approvals", self._types),
            web.get("/v1/applications/{id}/versions", self._page),
            web.get("/v1/applications/{id}/versions/{version}", self._show),
        ]

    async def _list(self, request: web.Request) -> web.StreamResponse:
        moment = await self._moment(request, Query(request, "at"))

        async def pages() -> AsyncIterator[list[dict[str, object]]]:
            async for page in self._versions.pages(request.match_info["id"], past=moment.past):
                yield [kio_listed(one) for one in page]

        with self._streams.take(request, request[CALLER].name):
            return await streamed(request, JSON_HEADERS, json_array(pages()))

    async def _read(self, request: web.Request) -> JsonResponse:
        return respond_json(kio_version(await self._version(request, Query(request, "at"))))

    async def _approvals(self, request: web.Request) -> JsonResponse:
        """The approvals of what the version is now; those that another digest had are in `superseded` of /v1."""
        found = await self._version(request, Query(request, "at"))
        return respond_json([kio_approval(found, one) for one in found.standing])

    async def _types(self, request: web.Request) -> JsonResponse:
        moment = await self._moment(request, Query(request, "at"))
        return respond_json(await self._versions.types_of(request.match_info["id"], past=moment.past))

    async def _write(self, request: web.Request) -> web.Response:
        no_parameters(request)
        written = await _object(request, _PUT_KEYS)
        application_id, version = request.match_info["id"], request.match_info["version"]
        team = str((await self._versions.application(application_id))["team_id"])
        caller = await self._membership.assured(request[CALLER], team)
        await self._versions.state(application_id, version, written.get("artifact"), written.get("notes"), caller)
        return web.Response(status=200)

    async def _approve(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        written = await _object(request, _POST_KEYS)
        application_id, version = request.match_info["id"], request.match_info["version"]
        for name, meant in (("application_id", application_id), ("version_id", version)):
            if written.get(name, meant) != meant:
                raise Conflict("approval-other-version", f"the body's {name} is not the one in the path")
        asked = ApprovalAsked(
            type=written.get("approval_type"), notes=written.get("notes"), digest=written.get("digest")
        )
        team = str((await self._versions.application(application_id))["team_id"])
        approval_type = checked_type(asked.type, self._versions.policy)
        caller = await self._member(request[CALLER], approving_teams(approval_type, team, self._versions.policy))
        given = await self._versions.approve(application_id, version, asked, caller)
        return respond_json({**given.to_wire(), "application_id": application_id, "version_id": version})

    async def _page(self, request: web.Request) -> JsonResponse:
        query = Query(request, "at", "limit", "cursor")
        limit, moment = query.limit(), await self._moment(request, query)
        found = await self._versions.page(
            request.match_info["id"], after=query.text("cursor") or "", limit=limit + 1, past=moment.past
        )
        following = found[limit - 1].version if len(found) > limit else None
        return respond_json({"versions": [shown_version(one) for one in found[:limit]], "next": following})

    async def _show(self, request: web.Request) -> JsonResponse:
        """One version with every digest, its commits, all approvals, and whether one of the caller would count."""
        query = Query(request, "at")
        moment = await self._moment(request, query)
        found = await self._versions.read(
            request.match_info["id"], request.match_info["version"], past=moment.past
        )  # fmt: skip
        body = await self._versions.body(found.application_id, past=moment.past)
        trackers, team = trackers_of(body), str(body["kio"]["team_id"])
        stated = OwnPlaces(repositories=repositories_of(body))
        current = [found.current.digest] if found.current is not None else []
        commits = await built_from(
            self._database, current, trackers, past=moment.known_past,
            withheld=lambda repository: withheld_repository(repository, stated, self._trackers),
        )  # fmt: skip
        told = await self._authors.told(found, team, request[CALLER], moment)
        shown = {**shown_version(found), "commits": [one.to_wire() for one in commits], "code_change": told}
        return respond_json(shown)

    async def _version(self, request: web.Request, query: Query) -> Version:
        moment = await self._moment(request, query)
        return await self._versions.read(request.match_info["id"], request.match_info["version"], past=moment.past)

    async def _moment(self, request: web.Request, query: Query) -> Moment:
        """Return the moment of a query, having checked that the caller may read the application's resources."""
        moment = await self._moments.of(query.instant("at"))
        caller = request[CALLER]
        if not caller.reads_everything:
            try:
                team = (await self._versions.application(request.match_info["id"], past=moment.past))["team_id"]
            except NotFound:
                team = None
            check_reads_team(caller, team)
        return moment

    async def _member(self, caller: Caller, teams: tuple[str, ...]) -> Caller:
        """Return the caller, with one of the teams where only the team service knows that it is in it."""
        for team in teams:
            assured = await self._membership.assured(caller, team)
            if assured.teams is not None and team in assured.teams:
                return assured
        return caller


async def _object(request: web.Request, keys: set[str]) -> dict[str, Any]:
    if request.content_type != "application/json":
        raise web.HTTPNotAcceptable(reason="the body must be application/json")
    document = await read_object(request, bytes_max=_BODY_BYTES_MAX)
    if unknown := sorted(document.keys() - keys):
        raise InputError("body-key", f"these keys cannot be written: {', '.join(unknown)[:300]}")
    return document
