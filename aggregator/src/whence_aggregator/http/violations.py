"""Violations: verdicts that fail or are unknown, and instances that run by the EC2 API without any statement."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from aiohttp import hdrs, web

from whence_aggregator import __version__
from whence_aggregator.callers.caller import Caller
from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES, SubjectOfRule
from whence_aggregator.compliance.export import to_ocsf, to_sarif
from whence_aggregator.compliance.rule import Rule
from whence_aggregator.compliance.rules.live import CATALOGUE, CurrentRules
from whence_aggregator.compliance.violations import Violations, WantedViolations, cursor_of_silent
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.grouped_lists import COMPLETE, ONLY_GROUPED, GroupedLists, complete_header
from whence_aggregator.http.parameters import Query, account_id, check_ami, instance_id
from whence_aggregator.reports.coverage import AskedAbout
from whence_aggregator.reports.coverage_reading import CoverageReader
from whence_aggregator.trace.state import States
from whence_common.clock import Now
from whence_common.errors import InputError

_FILTERS = (
    "verdict", "rule", "severity", "team", "account", "region", "ami", "application", "instance", "state", "since",
    "until", "kind", "folded",
)  # fmt: skip
_FORMATS = ("json", "ocsf", "sarif")
_MEDIA_TYPES = {"ocsf": "application/vnd.ocsf+json", "sarif": "application/sarif+json"}


class ViolationCalls:
    """`/v1/violations`."""

    def __init__(
        self,
        violations: Violations,
        *,
        coverage: CoverageReader,
        now: Now,
        rules: CurrentRules = CATALOGUE,
        grouped: GroupedLists | None = None,
    ) -> None:
        self._violations = violations
        self._coverage = coverage
        self._rules = rules
        self._grouped = grouped
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/violations", self._list)]

    async def _list(self, request: web.Request) -> web.StreamResponse | JsonResponse:
        if self._grouped is not None and "grouped" in request.query:
            return await self._grouped.list(request)
        query = Query(request, *_FILTERS, *ONLY_GROUPED, "format", "limit", "cursor")
        if given := sorted(ONLY_GROUPED & set(request.query)):
            what = ", ".join(given)
            raise InputError(
                "parameter-unknown", f"{what}: only for violations with their life",
                fix="add grouped=true (whence violations: --grouped), or omit them",
            )  # fmt: skip
        wanted, after, limit = (
            _wanted(query, request[CALLER], self._rules.current.every),
            query.text("cursor") or "",
            query.limit(),
        )
        silent = cursor_of_silent(after)
        if silent is not None:
            instance_id(silent)
        form = query.choice("format", _FORMATS) or _accepted(request)
        violations, following = await self._violations.page(wanted, after=after, limit=limit)
        if not violations:
            await self._coverage.check_team(_about(wanted))
        covered = await self._coverage.of(_about(wanted), named=request[CALLER].reads_everything)
        if form == "json":
            return respond_json({"violations": violations, "next": following, "coverage": covered})
        convert = to_ocsf if form == "ocsf" else to_sarif
        response = respond_json(convert(violations, version=__version__, now=self._now()))
        response.headers[hdrs.CONTENT_TYPE] = _MEDIA_TYPES[form]
        response.headers[COMPLETE] = complete_header(covered)
        if following is not None:
            link = f"{quote(request.path)}?{urlencode({**request.query, 'cursor': following})}"
            response.headers[hdrs.LINK] = f'<{link}>; rel="next"'
        return response


def _about(wanted: WantedViolations) -> AskedAbout:
    return AskedAbout(
        account=wanted.account, region=wanted.region, instance=wanted.instance, team=wanted.team,
        team_as_written=wanted.team_as_written, application=wanted.application,
    )  # fmt: skip


def _accepted(request: web.Request) -> str:
    """Return the form that the header Accept names; JSON for every other type."""
    named = {one.partition(";")[0].strip().lower() for one in request.headers.get(hdrs.ACCEPT, "").split(",")}
    return next((form for form, type_ in _MEDIA_TYPES.items() if type_ in named), "json")


def _wanted(query: Query, caller: Caller, rules: Sequence[Rule]) -> WantedViolations:
    rule = query.choice("rule", tuple(one.id for one in rules))
    severity = query.choice("severity", ("1", "2", "3", "4"))
    account, instance = query.text("account"), query.text("instance")
    return WantedViolations(
        rules=[one.id for one in rules if rule in (None, one.id) and severity in (None, str(one.severity))],
        kind=_kind(query),
        folded=query.choice("folded", ("all",)) is not None,
        states=States.parse(query.text("state") or "any"),
        verdict=query.choice("verdict", ("fail", "unknown")),
        application=query.text("application"),
        team=query.text("team"),
        team_as_written=not caller.reads_everything,
        account=account_id(account) if account is not None else None,
        region=query.text("region"),
        ami=check_ami(query.text("ami")),
        instance=instance_id(instance) if instance is not None else None,
        since=query.instant("since"),
        until=query.instant("until"),
    )


def _kind(query: Query) -> SubjectOfRule:
    asked = query.choice("kind", SUBJECTS_OF_RULES)
    return next((one for one in SUBJECTS_OF_RULES if one == asked), "instance")
