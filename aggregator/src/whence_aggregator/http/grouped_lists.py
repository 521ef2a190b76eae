"""Violations with their life, listed in groups: as JSON or CSV, in pages or whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from aiohttp import hdrs, web

from whence_aggregator.callers.caller import Caller
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query, account_id, check_ami, instance_id
from whence_aggregator.http.streams import streamed
from whence_aggregator.http.violation_csv import csv_pieces
from whence_aggregator.reports.coverage import AskedAbout
from whence_aggregator.reports.coverage_reading import CoverageReader
from whence_aggregator.trace.moment import Moment, Moments
from whence_aggregator.violations.brief import SORT_KEYS
from whence_aggregator.violations.group import GROUP_KINDS
from whence_aggregator.violations.listing import GroupedViolations, WantedGroups, parse_states
from whence_aggregator.violations.shown import to_csv
from whence_common.errors import InputError

GROUPED_FILTERS = (
    "grouped", "status", "verdict", "rule", "severity", "team", "account", "region", "ami", "application", "version",
    "instance", "kind", "exemption", "since", "until", "at", "known_at", "sort", "facets", "format", "whole", "limit",
    "cursor",
)  # fmt: skip
ONLY_GROUPED = frozenset(GROUPED_FILTERS) - {
    "verdict", "rule", "severity", "team", "account", "region", "ami", "application", "instance", "kind", "since",
    "until", "format", "limit", "cursor",
}  # fmt: skip
"""What filters violations with their life, and no verdicts."""
_OF_VERDICTS = {
    "state": "violations have states of their own: use status, as in status=open,reopened, or omit grouped",
    "folded": "what folds under a violation is in GET /v1/violations/{id}: omit folded, or grouped",
}
"""What filters verdicts and not violations, and what to ask instead."""
_YES = ("true",)
_CURSOR_CHARACTERS_MAX = 1_000
_CSV = "text/csv"
COMPLETE = "Whence-Complete"
"""Of answers in other forms than JSON: whether every source that could deny them was read."""


class GroupedLists:
    """`GET /v1/violations?grouped=true`."""

    def __init__(self, *, grouped: GroupedViolations, coverage: CoverageReader, moments: Moments) -> None:
        self._grouped = grouped
        self._coverage = coverage
        self._moments = moments

    async def list(self, request: web.Request) -> web.StreamResponse | JsonResponse:
        """Respond to `GET /v1/violations` with `grouped`."""
        for name, fix in _OF_VERDICTS.items():
            if name in request.query:
                raise InputError("parameter-unknown", f"{name} does not go with grouped", fix=fix)
        query = Query(request, *GROUPED_FILTERS)
        query.choice("grouped", _YES)
        wanted, limit = _wanted(query, request[CALLER]), query.limit()
        moment = await self._moments.since_the_log(query.instant("at"), query.instant("known_at"))
        after = query.text("cursor", characters_max=_CURSOR_CHARACTERS_MAX) or ""
        form = query.choice("format", ("json", "csv")) or ("csv" if _CSV in _accepted(request) else "json")
        if query.choice("whole", _YES) is not None:
            return await self._whole(request, wanted, moment, form, after=after)
        facets = form == "json" and query.choice("facets", _YES) is not None
        page = await self._grouped.page(wanted, moment=moment, after=after, limit=limit, facets=facets)
        if not page.violations:
            await self._coverage.check_team(_about(wanted))
        covered = await self._coverage.of(_about(wanted), named=request[CALLER].reads_everything)
        if form == "json":
            answer = {**moment.to_wire(), "violations": page.violations, "next": page.following, "coverage": covered}
            return respond_json({**answer, "facets": page.facets} if facets else answer)
        response = web.Response(text=to_csv(page.violations), content_type=_CSV, charset="utf-8")
        response.headers[COMPLETE] = complete_header(covered)
        if page.following is not None:
            link = f"{quote(request.path)}?{urlencode({**request.query, 'cursor': page.following})}"
            response.headers[hdrs.LINK] = f'<{link}>; rel="next"'
        return response

    async def _whole(
        self, request: web.Request, wanted: WantedGroups, moment: Moment, form: str, *, after: str
    ) -> web.StreamResponse:
        """Send all that match as CSV, in pieces."""
        if form != "csv" or after or "limit" in request.query:
            raise InputError("parameter-malformed", "whole goes with format=csv, and without limit and cursor")
        if not (await self._grouped.page(wanted, moment=moment, after="", limit=1)).violations:
            await self._coverage.check_team(_about(wanted))
        covered = await self._coverage.of(_about(wanted), named=request[CALLER].reads_everything)
        headers = {hdrs.CONTENT_TYPE: f"{_CSV}; charset=utf-8", COMPLETE: complete_header(covered)}
        return await streamed(request, headers, csv_pieces(self._grouped, wanted, moment))


def _accepted(request: web.Request) -> Sequence[str]:
    accept = request.headers.get(hdrs.ACCEPT, "")
    return [one.partition(";")[0].strip().lower() for one in accept.split(",")]


def _wanted(query: Query, caller: Caller) -> WantedGroups:
    severity, sort = query.choice("severity", ("1", "2", "3", "4")), query.text("sort") or "severity"
    verdict = query.choice("verdict", ("fail", "unknown"))
    account, instance, version = query.text("account"), query.text("instance"), query.text("version")
    rule, application = query.text("rule"), query.text("application")
    key = next((one for one in SORT_KEYS if one == sort.removeprefix("-")), None)
    if key is None:
        raise InputError("parameter-malformed", f"sort must be one of: {', '.join(SORT_KEYS)}, or one of them after -")
    if version is not None and application is None:
        raise InputError("parameter-malformed", "version requires application")
    return WantedGroups(
        states=parse_states(query.text("status") or "unfixed"), rules=[rule] if rule is not None else None,
        severity=int(severity) if severity is not None else None, team=query.text("team"),
        team_as_written=not caller.reads_everything, application=application, version=version,
        account=account_id(account) if account is not None else None, region=query.text("region"),
        ami=check_ami(query.text("ami")), instance=instance_id(instance) if instance is not None else None,
        kind=query.choice("kind", GROUP_KINDS), confirmed=None if verdict is None else verdict == "fail",
        exemption=query.text("exemption"), since=query.instant("since"), until=query.instant("until"), sort=key,
        descending=sort.startswith("-"),
    )  # fmt: skip


def _about(wanted: WantedGroups) -> AskedAbout:
    return AskedAbout(
        account=wanted.account, region=wanted.region, instance=wanted.instance, team=wanted.team,
        team_as_written=wanted.team_as_written, application=wanted.application,
    )  # fmt: skip


def complete_header(covered: Mapping[str, object]) -> str:
    """Return the value of the header that states whether an answer is complete."""
    return "true" if covered["complete"] else "false"
