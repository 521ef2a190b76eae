"""Calls about notifications: how each destination stands, and its dead letters. They need the right `operate`."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec
from aiohttp import web

from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, read_body, respond_json
from whence_aggregator.http.parameters import Query, no_parameters
from whence_aggregator.notifications.dead_box import LETTERS_AT_ONCE_MAX, NotificationBox
from whence_aggregator.notifications.trial import Trial
from whence_aggregator.ports import Forbidden
from whence_common.errors import InputError, one_line

_BODY_BYTES_MAX = 64 * 1024
T = TypeVar("T")
_ID = re.compile(r"msg_[0-9a-f]{32}\Z")


class _Letters(msgspec.Struct, forbid_unknown_fields=True):
    """Which dead letters a call is about."""

    ids: list[str] = []
    all: bool = False
    destination: str | None = None


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    destination: str


class NotificationCalls:
    """`/v1/notifications`."""

    def __init__(self, box: NotificationBox, trial: Trial) -> None:
        self._box = box
        self._trial = trial

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/notifications", self._list),
            web.get("/v1/notifications/dead", self._dead),
            web.post("/v1/notifications/dead/replay", self._replay),
            web.post("/v1/notifications/dead/discard", self._discard),
            web.post("/v1/notifications/enable", self._enable),
            web.post("/v1/notifications/test", self._test),
        ]

    async def _list(self, request: web.Request) -> JsonResponse:
        """Return how each destination stands."""
        _operator(request)
        no_parameters(request)
        return respond_json({"destinations": await self._box.destinations()})

    async def _dead(self, request: web.Request) -> JsonResponse:
        """Return a page of the dead letters, the oldest first."""
        _operator(request)
        query = Query(request, "destination", "limit", "cursor")
        letters, following = await self._box.page(
            destination=query.text("destination"), after=query.text("cursor") or "", limit=query.limit()
        )
        return respond_json({"letters": [one.to_wire() for one in letters], "next": following})

    async def _replay(self, request: web.Request) -> JsonResponse:
        """Have dead letters sent again: those of `ids`, or up to a thousand of all or of a destination."""
        wanted = await _body(request, _Letters)
        if bool(wanted.ids) == (wanted.all or wanted.destination is not None):
            fix = "send ids, or all: true, or destination"
            raise InputError("body-malformed", "which letters is not stated", fix=fix)
        by = request[CALLER].name
        if wanted.ids:
            count = await self._box.replay(_checked(wanted.ids), by=by)
        else:
            count = await self._box.replay_all(wanted.destination, by=by)
        return respond_json({"replayed": count}, status=202)

    async def _discard(self, request: web.Request) -> JsonResponse:
        """Give dead letters up for good, each by its id."""
        wanted = await _body(request, _Letters)
        if not wanted.ids or wanted.all or wanted.destination is not None:
            raise InputError("body-malformed", "ids is empty", fix="name each letter that is to be discarded")
        return respond_json({"discarded": await self._box.discard(_checked(wanted.ids), by=request[CALLER].name)})

    async def _enable(self, request: web.Request) -> JsonResponse:
        """Send to a destination again that wanted no more messages."""
        wanted = await _body(request, _Named)
        await self._box.enable(wanted.destination, by=request[CALLER].name)
        return respond_json({"enabled": wanted.destination})

    async def _test(self, request: web.Request) -> JsonResponse:
        """Send a test message to a destination; return how it answered."""
        wanted = await _body(request, _Named)
        found = await self._trial.send(wanted.destination, by=request[CALLER].name)
        return respond_json({"outcome": found.kind, "code": found.code or None, "reason": found.reason or None})


async def _body(request: web.Request, form: type[T]) -> T:
    _operator(request)
    no_parameters(request)
    try:
        return msgspec.json.decode(await read_body(request, _BODY_BYTES_MAX), type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError("body-malformed", f"not what this call takes: {one_line(str(exc), 200)}") from exc


def _checked(ids: list[str]) -> list[str]:
    if len(ids) > LETTERS_AT_ONCE_MAX or not all(map(_ID.match, ids)):
        fix = f"see GET /v1/notifications/dead; name at most {LETTERS_AT_ONCE_MAX}"
        raise InputError("body-malformed", "an id is not that of a dead letter", fix=fix)
    return ids


def _operator(request: web.Request) -> None:
    if not request[CALLER].may_operate:
        message = f"{request[CALLER].name} may not see or change notifications"
        raise Forbidden("operate-forbidden", message, fix="use a token with the right operate")
