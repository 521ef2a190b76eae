"""Events of CloudTrail that touched an instance, and the dead letters of its trails."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import msgspec
from aiohttp import web

from whence_aggregator.events.dead_box import REPLAYED_AT_ONCE_MAX, DeadBox
from whence_aggregator.events.touching import TouchingEvents
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, read_body, respond_json
from whence_aggregator.http.parameters import Query, instance_id, no_parameters
from whence_aggregator.ports import Forbidden
from whence_aggregator.queries.query import EVERY_ENTRY
from whence_aggregator.trace.moment import Moments
from whence_common.clock import parse_instant, to_millis
from whence_common.errors import InputError, one_line
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_BODY_BYTES_MAX = 64 * 1024
_ID = re.compile(r"[0-9a-f]{32}\Z")


class _Letters(msgspec.Struct, forbid_unknown_fields=True):
    """Which dead letters a call is about."""

    ids: list[str] = []
    all: bool = False
    code: str | None = None


class EventCalls:
    """`/v1/events`. `wake` has tasks looked for now."""

    def __init__(self, *, touching: TouchingEvents, box: DeadBox, moments: Moments, wake: Callable[[], None]) -> None:
        self._touching = touching
        self._box = box
        self._moments = moments
        self._wake = wake

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/events", self._list),
            web.get("/v1/events/dead", self._dead),
            web.post("/v1/events/dead/replay", self._replay),
            web.post("/v1/events/dead/discard", self._discard),
        ]

    async def _list(self, request: web.Request) -> JsonResponse:
        """Return a page of the events that touched an instance, the newest first."""
        query = Query(request, "instance", "at", "before", "limit", "cursor")
        wanted = query.text("instance")
        if wanted is None:
            raise InputError("parameter-malformed", "instance is missing", fix="send instance=i-…")
        name, limit, before = instance_id(wanted), query.limit(), query.instant("before")
        moment = await self._moments.of(query.instant("at"))
        found, following = await self._touching.page(
            name, past=moment.past, after=query.text("cursor") or "", limit=limit,
            before=to_millis(parse_instant(before)) if before is not None else EVERY_ENTRY,
        )  # fmt: skip
        return respond_json({**moment.to_wire(), "events": [one.to_wire() for one in found], "next": following})

    async def _dead(self, request: web.Request) -> JsonResponse:
        """Return a page of the dead letters, the oldest first, and how many there are by code."""
        query = Query(request, "limit", "cursor")
        letters, following = await self._box.page(after=query.text("cursor") or "", limit=query.limit())
        return respond_json(
            {"letters": [one.to_wire() for one in letters], "counts": await self._box.counts(), "next": following}
        )

    async def _replay(self, request: web.Request) -> JsonResponse:
        """Have dead letters taken again: those of `ids`, or up to a thousand, the oldest first."""
        wanted = await self._letters(request)
        if wanted.ids:
            for one in wanted.ids:
                await self._box.replay(one)
            count = len(wanted.ids)
        else:
            count = await self._box.replay_all(wanted.code)
        self._wake()
        return respond_json({"replayed": count}, status=202)

    async def _discard(self, request: web.Request) -> JsonResponse:
        """Delete dead letters for good, each by its id."""
        wanted = await self._letters(request)
        if not wanted.ids:
            raise InputError("body-malformed", "ids is empty", fix="name each letter that is to be discarded")
        for one in wanted.ids:
            await self._box.discard(one)
            log.warning("dead letter discarded", extra=fields(id=one, by=request[CALLER].name))
        return respond_json({"discarded": len(wanted.ids)})

    async def _letters(self, request: web.Request) -> _Letters:
        no_parameters(request)
        if not request[CALLER].may_operate:
            message = f"{request[CALLER].name} may not replay or discard dead letters"
            raise Forbidden("operate-forbidden", message, fix="use a token with the right operate")
        try:
            wanted = msgspec.json.decode(await read_body(request, _BODY_BYTES_MAX), type=_Letters)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise InputError("body-malformed", f"not a list of letters: {one_line(str(exc), 200)}") from exc
        if bool(wanted.ids) == (wanted.all or wanted.code is not None) or len(wanted.ids) > REPLAYED_AT_ONCE_MAX:
            fix = f"send ids (at most {REPLAYED_AT_ONCE_MAX}), or all: true, or code"
            raise InputError("body-malformed", "which letters is not stated", fix=fix)
        if not all(map(_ID.match, wanted.ids)):
            raise InputError("body-malformed", "an id is not that of a dead letter", fix="see GET /v1/events/dead")
        return wanted
