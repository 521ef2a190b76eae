"""What differs between two subjects, and the change record of production."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from aiohttp import web

from whence_aggregator.changes.differ import Differ
from whence_aggregator.changes.newest import NewestRecord
from whence_aggregator.changes.record import ChangeRecord, WantedChanges
from whence_aggregator.changes.subject import Compared
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.own_teams import as_read_by
from whence_aggregator.http.parameters import Query
from whence_aggregator.http.readiness import slow_database
from whence_aggregator.http.shared import Refreshed
from whence_aggregator.trace.moment import Moments
from whence_common.errors import InputError

_FILTERS = ("application", "team", "account")
_NEWEST_MAX = 20
_NEWEST_SECONDS = 2.0
_NEWEST_OLD_SECONDS_MAX = 20.0
"""How old the newest changes of all may be: all instances are read to find them, in the background meanwhile."""
_NEWEST_SECONDS_MAX = 8.0


class ChangeCalls:
    """`/v1/changes`."""

    def __init__(self, *, record: ChangeRecord, newest: NewestRecord, moments: Moments) -> None:
        self._record = record
        self._newest = newest
        self._moments = moments
        self._newest_of_all = Refreshed(
            lambda: newest.page(WantedChanges(), limit=_NEWEST_MAX),
            fresh_seconds=_NEWEST_SECONDS, old_seconds_max=_NEWEST_OLD_SECONDS_MAX,
        )  # fmt: skip

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/changes", self._changes)]

    async def _changes(self, request: web.Request) -> JsonResponse:
        query = Query(request, *_FILTERS, "from", "to", "limit", "cursor", "newest")
        if query.choice("newest", ("true",)) is not None:
            return await self._newest_changes(request, query)
        application, team, account = map(query.filter, _FILTERS)
        if application is None and team is None and account is None:
            raise InputError("parameter-malformed", "the filter is missing", fix=f"send one of {', '.join(_FILTERS)}")
        first, past = await self._moments.period(query.instant("from"), query.instant("to"), names=("from", "to"))
        wanted = WantedChanges(
            application=application, team=team, team_as_written=not request[CALLER].reads_everything, account=account,
            first=first, past=past,
        )  # fmt: skip
        changes, following = await self._record.page(wanted, after=query.text("cursor") or "", limit=query.limit())
        return respond_json({"changes": changes, "next": following})

    async def _newest_changes(self, request: web.Request, query: Query) -> JsonResponse:
        """Return the newest changes of all, or of a team's applications, the newest first."""
        for name in ("application", "account", "from", "to", "cursor"):
            if query.text(name) is not None:
                raise InputError(
                    "parameter-malformed", f"{name} and newest exclude each other", fix="send team and limit only"
                )
        team, limit = query.filter("team"), min(query.limit(), _NEWEST_MAX)
        if team is None:
            try:
                found = await self._newest_of_all.get(seconds_max=_NEWEST_SECONDS_MAX)
            except TimeoutError as exc:
                raise slow_database() from exc
        else:
            as_written = not request[CALLER].reads_everything
            found = await self._newest.page(WantedChanges(team=team, team_as_written=as_written), limit=limit)
        return respond_json({"changes": found.changes[:limit], "next": None, "left_out": found.left_out})


class DiffCalls:
    """`/v1/diff`."""

    def __init__(self, differ: Differ) -> None:
        self._differ = differ

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/diff", self._diff)]

    async def _diff(self, request: web.Request) -> JsonResponse:
        query = Query(request, "a", "b", "at", "and_at", "known_at")
        a, b = _sides(query)
        caller = request[CALLER]
        found = await self._differ.difference(
            a, b, known_at=query.instant("known_at"), read_by=lambda lineage: as_read_by(caller, lineage)
        )
        # in a thread: tickets are looked for in a thousand messages, whose authors chose how long that takes
        return respond_json(await asyncio.to_thread(found.to_wire))


def _sides(query: Query) -> tuple[Compared, Compared]:
    """Return both sides: `b` is `a` if omitted, and `and_at` is `at` if `b` is named and `and_at` omitted."""
    one, other, at, and_at = query.text("a"), query.text("b"), query.instant("at"), query.instant("and_at")
    if one is None:
        raise InputError("parameter-malformed", "a is missing", fix="send a=SUBJECT and b=SUBJECT, or two times of a")
    a = Compared.parse(one, name="a", at=at)
    if other is not None:
        timed = "@" in other
        return a, Compared.parse(other, name="b", at=and_at or (None if timed else at))
    b = replace(a, at=and_at)
    if a.at == b.at:
        raise InputError(
            "parameter-malformed", "both sides are the same", fix="send b, or another time as at or and_at"
        )
    return a, b
