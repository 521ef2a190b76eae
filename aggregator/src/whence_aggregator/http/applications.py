"""What Whence has in addition to Kio's paths: `/v1/applications`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from aiohttp import hdrs, web

from whence_aggregator.applications.applications import Applications, TicketSettings, check_could_exist
from whence_aggregator.applications.handovers import Closing, Handovers
from whence_aggregator.applications.history import ApplicationHistory
from whence_aggregator.applications.listing import ApplicationLists, WantedApplications
from whence_aggregator.applications.search import Sought
from whence_aggregator.callers.membership import Membership
from whence_aggregator.http.application_bodies import conditions_of, read_object, tagged, teams_named
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.own_teams import check_reads_team
from whence_aggregator.http.parameters import Query, no_parameters
from whence_aggregator.ports import NotFound
from whence_common.errors import InputError

_FILTERS = ("q", "team", "incident_contact", "active", "modified_before", "modified_after", "at", "limit", "cursor")
_S = TypeVar("_S")
_PATCHES = ("application/merge-patch+json", "application/json")


class OfferSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """To which team an application is offered."""

    team_id: str
    note: str = ""


class AnswerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The offer that is accepted, declined or withdrawn: what the caller has seen, not one that came later."""

    offer: int


class ApplicationCalls:
    """Handlers of `/v1/applications`."""

    def __init__(
        self,
        *,
        applications: Applications,
        lists: ApplicationLists,
        history: ApplicationHistory,
        handovers: Handovers,
        membership: Membership,
    ) -> None:
        self._applications = applications
        self._lists = lists
        self._history = history
        self._handovers = handovers
        self._membership = membership

    def routes(self) -> list[web.RouteDef]:
        one = "/v1/applications/{id}"
        return [
            web.get("/v1/applications", self._list),
            web.get(one, self._read),
            web.put(one, self._replace),
            web.patch(one, self._patch),
            web.put(f"{one}/tickets", self._tickets),
            web.get(f"{one}/history", self._changes),
            web.get(f"{one}/handover", self._handover),
            web.post(f"{one}/handover", self._offer),
            web.post(f"{one}/handover/accept", self._closing("accepted")),
            web.post(f"{one}/handover/decline", self._closing("declined")),
            web.post(f"{one}/handover/withdraw", self._closing("withdrawn")),
        ]

    async def _list(self, request: web.Request) -> JsonResponse:
        query = Query(request, *_FILTERS)
        search, active = query.text("q"), query.choice("active", ("true", "false"))
        wanted = WantedApplications(
            sought=Sought.parse(search) if search is not None else None,
            team=query.text("team"),
            team_as_written=not request[CALLER].reads_everything,
            incident_contact=query.text("incident_contact"),
            active=active == "true" if active is not None else None,
            modified_after=query.instant("modified_after"),
            modified_before=query.instant("modified_before"),
            at=query.instant("at"),
        )
        found, following = await self._lists.page(wanted, after=query.text("cursor") or "", limit=query.limit())
        return respond_json({"applications": found, "next": following})

    async def _read(self, request: web.Request) -> JsonResponse:
        at = Query(request, "at").instant("at")
        found = await self._applications.read_whole(request.match_info["id"], at=at)
        check_reads_team(request[CALLER], found.shown["team_id"])
        return tagged(respond_json(found.shown), found.revision)

    async def _replace(self, request: web.Request) -> JsonResponse:
        return await self._written(request, ("application/json",), self._applications.replace)

    async def _patch(self, request: web.Request) -> JsonResponse:
        check_could_exist(request.match_info["id"])
        return await self._written(request, _PATCHES, self._applications.patch)

    async def _written(
        self, request: web.Request, types: tuple[str, ...], write: Callable[..., Awaitable[int]]
    ) -> JsonResponse:
        no_parameters(request)
        application_id, conditions = request.match_info["id"], conditions_of(request)
        written = await _object(request, types)
        teams = teams_named(await self._applications.team_of(application_id), written.get("team_id"))
        caller = await self._membership.assured_for(request[CALLER], teams)
        revision = await write(application_id, written, caller, conditions=conditions)
        found = await self._applications.read_whole(application_id)
        status = 201 if revision == 1 and request.method == hdrs.METH_PUT else 200
        return tagged(respond_json(found.shown, status=status), found.revision)

    async def _tickets(self, request: web.Request) -> web.Response:
        no_parameters(request)
        application_id = request.match_info["id"]
        check_could_exist(application_id)
        if request.content_type != "application/json":
            raise web.HTTPNotAcceptable(reason="the body must be application/json")
        try:
            settings = msgspec.convert(await read_object(request), TicketSettings)
        except msgspec.ValidationError as exc:
            fix = 'write {"patterns": ["PAY-{number}"], "url": "https://tickets.example.org/{ticket}"}'
            raise InputError("tickets-malformed", str(exc), fix=fix) from exc
        teams = teams_named(await self._applications.team_of(application_id))
        caller = await self._membership.assured_for(request[CALLER], teams)
        await self._applications.write_tickets(application_id, settings, caller)
        return web.Response(status=200)

    async def _changes(self, request: web.Request) -> JsonResponse:
        query = Query(request, "at", "limit", "cursor")
        application_id = request.match_info["id"]
        found, following = await self._history.page(
            application_id, at=query.instant("at"), after=query.text("cursor") or "", limit=query.limit()
        )
        check_reads_team(request[CALLER], await self._applications.team_of(application_id))
        return respond_json({"revisions": found, "next": following})

    async def _handover(self, request: web.Request) -> JsonResponse:
        """Return the hand-overs of an application. The team that it is offered to may read them too."""
        at = Query(request, "at").instant("at")
        application_id = request.match_info["id"]
        owner = await self._applications.team_of(application_id)
        if owner is None:
            raise NotFound("application-unknown", f"application not found: {application_id[:100]!r}")
        offer = await self._handovers.open_offer(application_id)
        receives = offer is not None and request[CALLER].may_read(offer.to_team)
        if not receives:
            check_reads_team(request[CALLER], owner)
        found = await self._handovers.listed(application_id, at=at)
        open_ = found[0] if found and found[0]["action"] == "offered" else None
        return respond_json({"open": open_, "handovers": found})

    async def _offer(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        application_id = request.match_info["id"]
        check_could_exist(application_id)
        settings = await _settings(request, OfferSettings, '{"team_id": "other"}')
        teams = teams_named(await self._applications.team_of(application_id), settings.team_id)
        caller = await self._membership.assured_for(request[CALLER], teams)
        done = await self._handovers.offer(application_id, settings.team_id, settings.note, caller)
        return respond_json(done, status=201 if done["state"] == "offered" else 200)

    def _closing(self, closing: Closing) -> Callable[[web.Request], Awaitable[JsonResponse]]:
        async def close(request: web.Request) -> JsonResponse:
            no_parameters(request)
            application_id = request.match_info["id"]
            check_could_exist(application_id)
            settings = await _settings(request, AnswerSettings, '{"offer": 41}')
            offer = await self._handovers.open_offer(application_id)
            teams = teams_named(*((offer.from_team, offer.to_team) if offer is not None else ()))
            caller = await self._membership.assured_for(request[CALLER], teams)
            return respond_json(await self._handovers.close(application_id, settings.offer, closing, caller))

        return close


async def _object(request: web.Request, types: tuple[str, ...]) -> dict[str, object]:
    if request.content_type not in types:
        raise web.HTTPUnsupportedMediaType(reason=f"the body must be {' or '.join(types)}")
    return await read_object(request)


async def _settings(request: web.Request, kind: type[_S], example: str) -> _S:
    try:
        return msgspec.convert(await _object(request, ("application/json",)), kind)
    except msgspec.ValidationError as exc:
        raise InputError("handover-malformed", str(exc), fix=f"write {example}") from exc
