"""`/v1/reports`: makes a compliance report of a team or an account, and records its digests."""

from __future__ import annotations

from datetime import date

from aiohttp import web

from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.own_teams import check_reads_team
from whence_aggregator.http.parameters import Query, account_id
from whence_aggregator.http.slots import Slots
from whence_aggregator.reports.report import ReportScope
from whence_aggregator.reports.report_maker import ReportMaker
from whence_common.errors import InputError

REPORTS_AT_ONCE_MAX = 4
"""Each holds its violations in memory. With fewer than three, a caller's share, half of what is free, is none."""


class ReportCalls:
    """Makes reports, a few at a time."""

    def __init__(self, maker: ReportMaker) -> None:
        self._maker = maker
        self._slots = Slots("streams", REPORTS_AT_ONCE_MAX)

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/v1/reports", self._make)]

    async def _make(self, request: web.Request) -> JsonResponse:
        query, caller = Query(request, "team", "account", "from", "to"), request[CALLER]
        scope = _scope(query)
        if not caller.reads_everything:
            check_reads_team(caller, scope.team)
        with self._slots.take(request, caller.name):
            made = await self._maker.make(
                scope,
                made_by=caller.name,
                team_as_written=not caller.reads_everything,
                names_sources=caller.reads_everything,
            )
        return respond_json(made.to_wire(), status=201)


def _scope(query: Query) -> ReportScope:
    team, account = query.text("team"), query.text("account")
    if (team is None) == (account is None):
        raise InputError("report-scope", "a report is about one team or one account", fix="send team or account")
    return ReportScope(
        team=team, account=account_id(account) if account is not None else None, since=_day(query, "from"),
        until=_day(query, "to"),
    )  # fmt: skip


def _day(query: Query, name: str) -> str:
    text = query.text(name) or ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as exc:
        fix = "write it like 2026-11-22"
        raise InputError("parameter-malformed", f"{name} is not a day", fix=fix) from exc
