"""fullstop.'s paths for violations, types, counts, lifecycles and whitelisting rules, which its command uses."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import Limit
from whence_aggregator.fullstop.documents import ViolationReport
from whence_aggregator.fullstop.lifecycles import Lifecycles
from whence_aggregator.fullstop.listing import SIZE_MAX, FullstopFilters, ViolationLists
from whence_aggregator.fullstop.reporting import ViolationReporting, check_may_report
from whence_aggregator.fullstop.served import exemption_wire, page_wire, violation_wire
from whence_aggregator.fullstop.steps import Count, ViolationSteps
from whence_aggregator.fullstop.types import ViolationTypes
from whence_aggregator.fullstop.violation import ServedViolation
from whence_aggregator.http.application_bodies import read_object
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, read_body, respond_json
from whence_aggregator.http.fullstop_parameters import LenientQuery
from whence_aggregator.http.grouped_violations import STEP_BYTES
from whence_aggregator.http.own_teams import check_reads_team
from whence_aggregator.http.parameters import account_id
from whence_aggregator.ports import NotFound
from whence_aggregator.violations.observing import Observing
from whence_common.errors import InputError
from whence_common.identifiers import is_application_id
from whence_common.storable import check_texts

_COMMENT_BYTES_MAX = 16 * 1024
_DIGITS_MAX = 19


class FullstopCalls:
    """`/api/violations`, `/api/violation-types`, `/api/violation-count`, `/api/lifecycles`."""

    def __init__(
        self,
        *,
        lists: ViolationLists,
        steps: ViolationSteps,
        types: ViolationTypes,
        reporting: ViolationReporting,
        lifecycles: Lifecycles,
        observing: Observing,
        caller_bytes: Limit,
    ) -> None:
        """`caller_bytes` bounds what a caller writes to the log."""
        self._lists = lists
        self._caller_bytes = caller_bytes
        self._steps = steps
        self._observing = observing
        self._types = types
        self._reporting = reporting
        self._lifecycles = lifecycles

    def routes(self) -> list[web.RouteDef]:
        versions = "/api/lifecycles/applications/{name}/versions"
        return [
            web.get("/api/violations", self._list),
            web.post("/api/violations", self._report),
            web.get("/api/violations/{id}", self._read),
            web.post("/api/violations/{id}/resolution", self._resolve),
            web.get("/api/violation-types", self._list_types),
            web.get("/api/violation-count", self._count),
            web.get("/api/violation-count/{account}", self._count_account),
            web.get(versions, self._lifecycle),
            web.get(versions + "/{version}", self._lifecycle),
        ]

    async def _list(self, request: web.Request) -> JsonResponse:
        query = LenientQuery(request)
        page = query.page()
        found, total = await self._lists.page(_readable(request, query.violations()), page)
        content = [violation_wire(one, self._types) for one in found]
        return respond_json(page_wire(content, total=total, number=page.number, size=page.size, sort=page.sort))

    async def _read(self, request: web.Request) -> JsonResponse:
        one = await self._one(request)
        return respond_json(violation_wire(one, self._types, await self._lists.instances(one)))

    async def _one(self, request: web.Request) -> ServedViolation:
        """Return the violation of a path. Raises NotFound or Forbidden, which hides what there is from other teams."""
        caller: Caller = request[CALLER]
        try:
            one = await self._lists.one(number_of(request))
        except NotFound:
            check_reads_team(caller, None)
            raise
        check_reads_team(caller, one.stored.team or None)
        return one

    async def _report(self, request: web.Request) -> web.Response:
        """Record a violation before it is accepted: fullstop. queued it in memory."""
        check_may_report(request[CALLER], "")
        self._caller_bytes.take(request[CALLER].name, STEP_BYTES)
        await self._reporting.record(ViolationReport.parse(await read_object(request)), request[CALLER])
        return web.Response(status=202)

    async def _resolve(self, request: web.Request) -> JsonResponse:
        one = await self._one(request)
        content = await read_body(request, _COMMENT_BYTES_MAX)
        try:
            comment = content.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise InputError("comment-malformed", "the comment is not UTF-8", fix="send the text as UTF-8") from exc
        check_texts([comment], "the comment")
        self._caller_bytes.take(request[CALLER].name, STEP_BYTES)
        resolved = await self._steps.resolve(one, comment, request[CALLER])
        return respond_json(violation_wire(resolved, self._types))

    async def _list_types(self, request: web.Request) -> JsonResponse:
        caller: Caller = request[CALLER]
        return respond_json([one.to_wire() for one in await self._lists.types(caller.readable_teams)])

    async def _count(self, request: web.Request) -> JsonResponse:
        return respond_json(await self._lists.by_account(_readable(request, LenientQuery(request).counts())))

    async def _count_account(self, request: web.Request) -> JsonResponse:
        account = account_id(request.match_info["account"])
        wanted = _readable(request, LenientQuery(request).counts(account=account))
        return respond_json(await self._lists.by_application(wanted))

    async def _lifecycle(self, request: web.Request) -> JsonResponse:
        query, name = LenientQuery(request), request.match_info["name"]
        number, size = query.number("page", most=1_000_000) or 0, min(query.number("size") or 10, SIZE_MAX)
        if not is_application_id(name):
            raise InputError("application-id-malformed", "the id must be lower-case letters, digits and hyphens")
        if not request[CALLER].reads_everything:
            check_reads_team(request[CALLER], await self._observing.owner_of(name, "") or None)
        rows = await self._lifecycles.rows(name, request.match_info.get("version"))
        ascending = not (query.text("sort") or "").lower().endswith(",desc")
        ordered = rows if ascending else rows[::-1]
        content = ordered[number * size : (number + 1) * size]
        return respond_json(
            page_wire(content, total=len(rows), number=number, size=size, sort=[("created", ascending)])
        )


class WhitelistingCalls:
    """`/api/whitelisting-rules`: exemptions, each with an end."""

    def __init__(self, steps: ViolationSteps, caller_bytes: Limit) -> None:
        self._steps = steps
        self._caller_bytes = caller_bytes

    def routes(self) -> list[web.RouteDef]:
        one = "/api/whitelisting-rules/{id}"
        return [
            web.get("/api/whitelisting-rules", self._list),
            web.post("/api/whitelisting-rules", self._make),
            web.get(one, self._read),
            web.put(one, self._replace),
            web.delete(one, self._end),
        ]

    async def _list(self, _: web.Request) -> JsonResponse:
        return respond_json([exemption_wire(one) for one in await self._steps.exemptions()])

    async def _read(self, request: web.Request) -> JsonResponse:
        return respond_json(exemption_wire(await self._steps.exemption(number_of(request))))

    async def _make(self, request: web.Request) -> JsonResponse:
        self._caller_bytes.take(request[CALLER].name, STEP_BYTES)
        made = await self._steps.exempt(await read_object(request), request[CALLER], self._counting(request))
        return respond_json(exemption_wire(made), status=201)

    async def _replace(self, request: web.Request) -> JsonResponse:
        self._caller_bytes.take(request[CALLER].name, STEP_BYTES)
        number = number_of(request)
        made = await self._steps.replace(number, await read_object(request), request[CALLER], self._counting(request))
        return respond_json(exemption_wire(made))

    async def _end(self, request: web.Request) -> web.Response:
        self._caller_bytes.take(request[CALLER].name, STEP_BYTES)
        ends_at = LenientQuery(request).instant("expiryDate") or None
        await self._steps.end(number_of(request), ends_at, request[CALLER], self._counting(request))
        return web.Response(status=204)

    def _counting(self, request: web.Request) -> Count:
        name = request[CALLER].name
        return lambda steps: self._caller_bytes.take(name, STEP_BYTES * steps)


def _readable(request: web.Request, wanted: FullstopFilters) -> FullstopFilters:
    """Return filters that leave out what the caller may not read."""
    caller: Caller = request[CALLER]
    return replace(wanted, teams=caller.readable_teams)


def number_of(request: web.Request) -> int:
    """Return the number in a path. Raises NotFound: what is not a number names nothing."""
    text = request.match_info["id"]
    if not (text.isascii() and text.isdecimal()) or len(text) > _DIGITS_MAX:
        raise NotFound("number-unknown", "there is nothing of this number")
    return int(text)
