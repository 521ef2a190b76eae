"""Summaries of verdicts, their trend by day, and how far the sources of answers were read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from aiohttp import web

from whence_aggregator.callers.caller import Caller
from whence_aggregator.collect.presence_total import PresenceTotal
from whence_aggregator.compliance.counts import count
from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES
from whence_aggregator.compliance.rule import Rule
from whence_aggregator.compliance.rules.live import CATALOGUE, CurrentRules
from whence_aggregator.findings.counting import FindingCounts
from whence_aggregator.http.authentication import CALLER
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query, account_id
from whence_aggregator.http.readiness import slow_database
from whence_aggregator.http.shared import Refreshed
from whence_aggregator.ports import Database
from whence_aggregator.reports.coverage import AskedAbout
from whence_aggregator.reports.coverage_reading import CoverageReader
from whence_aggregator.reports.summary import GROUPS, Summaries, Summary, WantedSummary
from whence_aggregator.trace.moment import Moments
from whence_common.errors import InputError

_FILTERS = ("team", "account", "rule", "severity", "kind")
_TREND_DAYS = 30
_PRESENCE_SECONDS = 15.0
_PRESENCE_OLD_SECONDS_MAX = 60.0
"""How old the presence of all instances may be: the whole inventory is read for it, in the background meanwhile."""
_PRESENCE_READ_SECONDS_MAX = 9.0


class SummaryCalls:
    """`/v1/summary`, `/v1/summary/trend` and `/v1/coverage`."""

    def __init__(
        self,
        *,
        database: Database,
        summaries: Summaries,
        coverage: CoverageReader,
        moments: Moments,
        findings: FindingCounts,
        rules: CurrentRules = CATALOGUE,
        presence: PresenceTotal | None = None,
    ) -> None:
        self._presence: Refreshed[dict[str, object]] | None = None
        if presence is not None:
            self._presence = Refreshed(
                presence.read, fresh_seconds=_PRESENCE_SECONDS, old_seconds_max=_PRESENCE_OLD_SECONDS_MAX
            )
        self._database = database
        self._summaries = summaries
        self._coverage = coverage
        self._rules = rules
        self._moments = moments
        self._findings = findings

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/summary", self._summary),
            web.get("/v1/summary/trend", self._trend),
            web.get("/v1/coverage", self._read),
        ]

    async def _summary(self, request: web.Request) -> JsonResponse:
        """Return counts by group; without a parameter also what the aggregator stores and does."""
        query = Query(request, "by", "at", *_FILTERS)
        caller = request[CALLER]
        wanted = _wanted(query, caller, self._rules.current.every)
        found = await self._summaries.of(wanted, await self._moments.since_the_log(query.instant("at")))
        about = AskedAbout(account=wanted.account, team=wanted.team, team_as_written=wanted.team_as_written)
        if not found.everything.verdicts.total:
            await self._coverage.check_team(about)
        shown = await self._coverage.of(about, named=caller.reads_everything)
        stored = await self._stored() if not request.query else {}
        counted = await self._counted(wanted, found)
        presence = await self._present(wanted, found)
        return respond_json({**stored, **found.to_wire(), "presence": presence, "findings": counted, "coverage": shown})

    async def _present(self, wanted: WantedSummary, found: Summary) -> dict[str, object] | None:
        """Return how many instances are listed and heard; None where the question is not about all, or about now."""
        narrowed = wanted.rules is not None or wanted.kind is not None or wanted.team or wanted.account
        if self._presence is None or found.snapshot is not None or narrowed:
            return None
        try:
            return await self._presence.get(seconds_max=_PRESENCE_READ_SECONDS_MAX)
        except TimeoutError as exc:
            raise slow_database() from exc

    async def _counted(self, wanted: WantedSummary, found: Summary) -> dict[str, object] | None:
        """Return the findings of scanners; None where the question is about less than an account, or about the past."""
        of_rules = wanted.rules is not None or wanted.kind is not None
        if found.snapshot is not None or wanted.team is not None or of_rules:
            return None
        return (await self._findings.counted()).of(wanted.account).to_wire()

    async def _trend(self, request: web.Request) -> JsonResponse:
        query = Query(request, "from", "to", *_FILTERS)
        moment = await self._moments.of()
        until = query.text("to") or moment.at[:10]
        since = query.text("from") or (date.fromisoformat(moment.at[:10]) - timedelta(days=_TREND_DAYS)).isoformat()
        days = await self._summaries.trend(
            _wanted(query, request[CALLER], self._rules.current.every), moment, since=since, until=until
        )
        return respond_json({"from": since, "to": until, "days": [one.to_wire() for one in days]})

    async def _read(self, request: web.Request) -> JsonResponse:
        query = Query(request, "account", "by")
        account = query.text("account")
        named = account_id(account) if account is not None else None
        if query.choice("by", ("source",)) is not None:
            if named is not None:
                raise InputError("parameter-malformed", "by and account exclude each other", fix="send one of them")
            return respond_json(await self._coverage.by_source())
        covered = await self._coverage.read()
        rows = [one for one in covered.sources if named is None or one.account_id in ("", named)]
        complete = all(one.state == "read" for one in rows)
        return respond_json({"complete": complete, "sources": [one.to_wire(covered.now) for one in rows]})

    async def _stored(self) -> dict[str, object]:
        counted = await count(self._database)
        found = counted.tallied
        return {
            "ledger_size": counted.entries,
            "instances": [{"account_id": account, "n": n} for account, n in sorted(found.instances.items())],
            "lives": [{"account_id": a, "life": life, "n": n} for (a, life), n in sorted(found.lives.items())],
            "verdicts": [{"rule": r, "verdict": v, "n": n} for (r, v), n in sorted(found.verdicts.items())],
            "verdicts_by_account": found.by_account,
            "tasks": counted.tasks_shown,
        }


def _wanted(query: Query, caller: Caller, known: Sequence[Rule]) -> WantedSummary:
    rule = query.choice("rule", tuple(one.id for one in known))
    severity = query.choice("severity", ("1", "2", "3", "4"))
    account, kind = query.text("account"), query.choice("kind", SUBJECTS_OF_RULES)
    rules = [one.id for one in known if rule in (None, one.id) and severity in (None, str(one.severity))]
    by = query.choice("by", GROUPS)
    return WantedSummary(
        by=next((one for one in GROUPS if one == by), "rule"),
        rules=rules if rule is not None or severity is not None else None,
        team=query.text("team"),
        team_as_written=not caller.reads_everything,
        account=account_id(account) if account is not None else None,
        kind=next((one for one in SUBJECTS_OF_RULES if one == kind), None),
    )
