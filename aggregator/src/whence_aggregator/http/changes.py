"""What differs between two subjects."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from whence_aggregator.changes.differ import Differ
from whence_aggregator.changes.subject import Compared
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.own_teams import as_read_by
from whence_aggregator.http.parameters import Query
from whence_common.errors import InputError


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
        return respond_json(found.to_wire())


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
