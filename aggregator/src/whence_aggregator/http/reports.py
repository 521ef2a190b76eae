"""`/v1/reports`: makes a compliance report of a team or an account, and shows which were made, by their digests."""

from __future__ import annotations

from datetime import date

from aiohttp import web

from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.own_teams import check_reads_team
from whence_aggregator.http.parameters import Query, account_id, no_parameters
from whence_aggregator.http.slots import Slots
from whence_aggregator.reports.recorded_reports import RecordedReports
from whence_aggregator.reports.report import ReportScope
from whence_aggregator.reports.report_maker import ReportMaker
from whence_aggregator.reports.rows import RecordedReport
from whence_common.digest import is_sha256_digest
from whence_common.errors import InputError

REPORTS_AT_ONCE_MAX = 4
"""Each holds all its violations in memory. One caller may use half of them, so that others are not kept waiting."""


class ReportCalls:
    """Makes reports, a few at a time."""

    def __init__(self, maker: ReportMaker, recorded: RecordedReports) -> None:
        self._maker = maker
        self._recorded = recorded
        self._slots = Slots("streams", REPORTS_AT_ONCE_MAX)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/reports", self._make),
            web.get("/v1/reports", self._list),
            web.get("/v1/reports/{digest}", self._show),
        ]

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

    async def _list(self, request: web.Request) -> JsonResponse:
        query, caller = Query(request, "team", "account", "limit", "cursor"), request[CALLER]
        account = query.text("account")
        found, following = await self._recorded.page(
            team=query.text("team"), team_as_written=not caller.reads_everything,
            account=account_id(account) if account is not None else None, after=query.text("cursor") or "",
            limit=query.limit(),
        )  # fmt: skip
        return respond_json({"reports": [one.to_wire() for one in found], "next": following})

    async def _show(self, request: web.Request) -> JsonResponse:
        """Show who made the reports with a file of this digest; those of other teams are not shown."""
        no_parameters(request)
        digest, caller = request.match_info["digest"], request[CALLER]
        if not is_sha256_digest(digest):
            raise InputError("parameter-malformed", "this is not the digest of a file", fix="write it like sha256:…")
        found = await self._recorded.with_digest(digest)
        if not caller.reads_everything:
            found = [one for one in found if one.team and caller.may_read(one.team)]
            if not found:
                check_reads_team(caller, None)
        return respond_json(
            {"digest": digest, "reports": [{**one.to_wire(), "files": _named(one, digest)} for one in found]}
        )


def _named(one: RecordedReport, digest: str) -> list[str]:
    """Return the names of the files with this digest."""
    return [name for name, recorded in one.digests.items() if recorded == digest]


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
