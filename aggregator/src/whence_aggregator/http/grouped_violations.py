"""Violations with their life, one by one: shown, acknowledged, exempted, and undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from aiohttp import web

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import Limit
from whence_aggregator.callers.membership import Membership
from whence_aggregator.http.application_bodies import read_object
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.member_links import LINK_PARAMETERS, wanted_links, with_links
from whence_aggregator.http.own_teams import check_reads_team
from whence_aggregator.http.parameters import Query, instant, no_parameters
from whence_aggregator.ports import Conflict
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_aggregator.trace.moment import Moments
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.violations.causing import CauseReader, caused, with_causes
from whence_aggregator.violations.exemption import (
    Exemption,
    checked_comment,
    new_exemption,
    scope_from,
    scope_of,
)
from whence_aggregator.violations.listing import GroupedViolations
from whence_aggregator.violations.observing import Observing
from whence_aggregator.violations.permission import (
    SEVERITY_OF_TEAMS,
    check_acknowledge,
    check_exempt,
    check_person,
    check_undo,
    check_withdraw,
)
from whence_aggregator.violations.recording import ViolationRecorder
from whence_common.clock import Now
from whence_common.errors import InputError

_BODY_BYTES_MAX = 16 * 1024
STEP_BYTES = 1024
"""What a step takes in the log, as the caller's limit counts it."""


class GroupedViolationCalls:
    """`/v1/violations/{id}…` and `/v1/exemptions…`."""

    def __init__(
        self,
        *,
        grouped: GroupedViolations,
        recorder: ViolationRecorder,
        observing: Observing,
        membership: Membership,
        caller_bytes: Limit,
        moments: Moments,
        causes: CauseReader,
        tracer: Tracer,
        now: Now,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._grouped = grouped
        self._recorder = recorder
        self._observing = observing
        self._membership = membership
        self._caller_bytes = caller_bytes
        self._moments = moments
        self._causes = causes
        self._tracer = tracer
        self._now = now
        self._random_bytes = random_bytes

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/violations/{id}", self._show),
            web.post("/v1/violations/{id}/acknowledge", self._acknowledge),
            web.post("/v1/violations/{id}/exempt", self._exempt),
            web.post("/v1/violations/{id}/undo", self._undo),
            web.get("/v1/exemptions", self._exemptions),
            web.post("/v1/exemptions/{id}/undo", self._withdraw),
        ]

    async def _show(self, request: web.Request) -> JsonResponse:
        query = Query(request, "at", "known_at", *LINK_PARAMETERS)
        moment, links = (
            await self._moments.since_the_log(query.instant("at"), query.instant("known_at")),
            wanted_links(query),
        )
        one, _ = await self._asked(request)
        if not moment.is_now:
            one = await self._grouped.then(one.id, moment)
        shown = await self._grouped.shown(one, moment)
        shown = await with_links(shown, links, tracer=self._tracer, moment=moment, caller=request[CALLER])
        found = await caused(shown["instances"] or (), since=one.since, reader=self._causes)
        return respond_json({**moment.to_wire(), **with_causes(shown, found)})

    async def _acknowledge(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        one, caller = await self._asked(request, writes=True)
        check_acknowledge(caller, one)
        body = await _body(request, "comment")
        comment = checked_comment(body.get("comment"), name="comment")
        self._count(caller, 1)
        moved = await self._recorder.acknowledge(one, comment, by=caller.name)
        return respond_json((await self._shown([moved]))[0])

    async def _exempt(self, request: web.Request) -> JsonResponse:
        """Exempt a violation, or with a `scope` all of its rule that are in it. With `dry_run`, only list them."""
        no_parameters(request)
        one, caller = await self._asked(request, writes=True)
        check_person(caller)
        check_exempt(caller, one)
        body = await _body(request, "reason", "until", "scope", "covers", "dry_run")
        granted = _granted(one, caller, body, self._now(), self._random_bytes(16))
        if not granted.covers(one):
            raise InputError("exemption-scope", "the scope does not have this violation", fix="correct the scope")
        covered = await self._observing.owned_now(await self._recorder.covered_by(granted))
        for each in covered:
            check_exempt(caller, each)
        dry_run = _flag(body, "dry_run")
        if not dry_run:
            self._count(caller, 1 + len(covered))
            covered = list(await self._recorder.exempt(granted, _expected(body, len(covered))))
        shown = await self._shown(covered)
        answer = {"dry_run": dry_run, "exemption": granted.to_wire(), "covers": len(shown), "violations": shown}
        return respond_json(answer, status=200 if dry_run else 201)

    async def _undo(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        one, caller = await self._asked(request, writes=True)
        check_undo(caller, one)
        await _body(request)
        if one.exemption:
            await self._check_withdraw(caller, one.exemption)
        self._count(caller, 1 + await self._covered(one.exemption))
        undone = await self._recorder.undo(one, by=caller.name)
        shown = await self._shown(undone.violations)
        return respond_json({"exemption": undone.exemption or None, "violations": shown})

    async def _exemptions(self, request: web.Request) -> JsonResponse:
        query = Query(request, "at", "known_at")
        moment = await self._moments.since_the_log(query.instant("at"), query.instant("known_at"))
        found = await self._recorder.exemptions_then(moment)
        return respond_json({**moment.to_wire(), "exemptions": [one.to_wire() for one in found]})

    async def _withdraw(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        caller = request[CALLER]
        await self._check_withdraw(caller, request.match_info["id"])
        await _body(request)
        self._count(caller, 1 + await self._covered(request.match_info["id"]))
        undone = await self._recorder.withdraw(request.match_info["id"], by=caller.name)
        shown = await self._shown(undone.violations)
        return respond_json({"exemption": undone.exemption, "violations": shown})

    def _count(self, caller: Caller, steps: int) -> None:
        """Count steps that the caller adds to the log. Raises Overloaded."""
        self._caller_bytes.take(caller.name, STEP_BYTES * steps)

    async def _covered(self, exemption: str) -> int:
        """Return how many violations the end of an exemption touches; none where there is none."""
        return len(await self._recorder.exempted_by(exemption)) if exemption else 0

    async def _check_withdraw(self, caller: Caller, name: str) -> None:
        granted = await self._recorder.exemption(name)
        team = granted.scope.team
        check_withdraw(await self._membership.assured(caller, team) if team else caller, granted)

    async def _asked(self, request: web.Request, *, writes: bool = False) -> tuple[StoredViolation, Caller]:
        """Return the violation of a path with its owner of now, and the caller. Raises NotFound or Forbidden."""
        caller = request[CALLER]
        found = await self._recorder.named([request.match_info["id"]])
        one = (await self._observing.owned_now(found))[0] if found else None
        if one is None or not caller.reads_everything:
            check_reads_team(caller, one.team if one is not None else None)
        if one is None:
            one = await self._recorder.read(request.match_info["id"])
        if writes and one.team and not caller.may_operate:
            caller = await self._membership.assured(caller, one.team)
        return one, caller

    async def _shown(self, found: Sequence[StoredViolation]) -> Sequence[dict[str, Any]]:
        """Return violations as they are now, with their instances counted."""
        current = await self._recorder.named([one.id for one in found])
        return await self._grouped.with_members(current, await self._moments.of())


def _granted(one: StoredViolation, caller: Caller, body: dict[str, Any], now: datetime, unique: bytes) -> Exemption:
    """Return the exemption that a body asks for. A team's covers that team's violations of severity 3 and 4 only."""
    scope = body.get("scope")
    if scope is not None and not isinstance(scope, dict):
        raise InputError("exemption-scope", "scope must be an object")
    asked = scope_from(scope) if scope is not None else scope_of(one)
    if not caller.may_operate:
        asked = replace(asked, team=asked.team or one.team)
        caller.check_write(asked.team)
    until = body.get("until")
    if not isinstance(until, str):
        raise InputError("exemption-until", "until must be a time", fix="write it like 2026-12-24T12:00:00Z")
    return new_exemption(
        one.rule, asked, reason=checked_comment(body.get("reason"), name="reason"),
        until=instant(until, name="until"), by=caller.name, now=now, unique=unique,
        severity_min=1 if caller.may_operate else SEVERITY_OF_TEAMS,
    )  # fmt: skip


def _expected(body: dict[str, Any], found: int) -> int:
    """Return how many violations an exemption is to cover. Raises Conflict if several are, uncounted."""
    covers = body.get("covers")
    if covers is None and found > 1:
        raise Conflict(
            "exemption-covers", f"it would cover {found} violations",
            fix="ask with dry_run, look at the list, and send its number as `covers`",
        )  # fmt: skip
    if covers is not None and (not isinstance(covers, int) or isinstance(covers, bool)):
        raise InputError("exemption-covers", "covers must be a number")
    return found if covers is None else int(covers)


def _flag(body: dict[str, Any], name: str) -> bool:
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise InputError("body-malformed", f"{name} must be true or false")
    return value


async def _body(request: web.Request, *keys: str) -> dict[str, Any]:
    """Return the body. Raises InputError for unknown keys: a mistyped one would widen what is exempted."""
    body = await read_object(request, bytes_max=_BODY_BYTES_MAX)
    unknown = sorted(set(body) - set(keys))
    if unknown:
        raise InputError(
            "body-key", f"unknown keys: {', '.join(unknown)[:200]}",
            fix=f"this path takes {', '.join(keys)}" if keys else "send {}",
        )  # fmt: skip
    return body
