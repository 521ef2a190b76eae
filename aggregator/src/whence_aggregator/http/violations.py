"""Violations: verdicts that fail or are unknown, and instances that run as EC2 says and never made a statement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query, account_id, check_ami, instance_id
from whence_aggregator.ports import Database, Row
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import EVERY_ENTRY
from whence_aggregator.trace.owners import owned_by
from whence_aggregator.trace.search import check_amis
from whence_aggregator.trace.state import States
from whence_common.clock import parse_instant, to_instant, to_millis
from whence_common.errors import InputError

_RULES = {rule.id: rule for rule in RULES}
_SILENT = "agent-silent"
_NEVER = "never~"
"""Cursors of instances that never spoke begin so: they come after all verdicts, by instance id."""
_NAMES = ("instance_id", "rule", "verdict", "reason", "since", "ledger_index", "account_id", "region", "application_id")
_FILTERS = (
    "verdict", "rule", "severity", "team", "account", "region", "ami", "application", "instance", "state", "since",
    "until",
)  # fmt: skip


class ViolationCalls:
    """`/v1/violations`."""

    def __init__(self, *, database: Database, listening: Listening) -> None:
        self._database = database
        self._listening = listening

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/violations", self._list)]

    async def _list(self, request: web.Request) -> JsonResponse:
        query = Query(request, *_FILTERS, "limit", "cursor")
        wanted, cursor, limit = await self._wanted(query), query.text("cursor") or "0~", query.limit()
        rows: list[dict[str, Any]] = []
        if cursor.startswith(_NEVER):
            instance_id(cursor.removeprefix(_NEVER))
        else:
            rows = await self._verdicts(wanted, cursor, limit + 1)
            cursor = _NEVER
        if len(rows) <= limit and _may_have_never_spoken(wanted):
            rows += await self._never_spoke(wanted, cursor.removeprefix(_NEVER), limit + 1 - len(rows))
        following = rows[limit - 1]["cursor"] if len(rows) > limit else None
        return respond_json({"violations": rows[:limit], "next": following})

    async def _wanted(self, query: Query) -> dict[str, Any]:
        """Read the filters. `rules` and `applications` are JSON arrays, as queries take them."""
        rule, severity = query.choice("rule", tuple(_RULES)), query.choice("severity", ("1", "2", "3"))
        team, application = query.text("team"), query.text("application")
        rules = [one.id for one in RULES if rule in (None, one.id) and severity in (None, str(one.severity))]
        owned = await owned_by(self._database, team, past=EVERY_ENTRY) if team is not None else None
        applications = [application] if application is not None else owned or []
        if owned is not None:
            applications = [one for one in applications if one in owned]
        if (ami := check_ami(query.text("ami"))) is not None:
            await check_amis(self._database)
        account, instance = query.text("account"), query.text("instance")
        states = States.parse(query.text("state") or "any")
        return {
            **states.to_query(),
            "now": int(states.now),
            "silent_before": to_millis(self._listening.silent_before),
            "verdict": query.choice("verdict", ("fail", "unknown")),
            "rules": msgspec.json.encode(rules).decode(),
            "any_application": int(application is None and owned is None),
            "applications": msgspec.json.encode(applications).decode(),
            "account": account_id(account) if account is not None else None,
            "region": query.text("region"),
            "ami": ami,
            "instance": instance_id(instance) if instance is not None else None,
            "since": query.instant("since"),
            "until": query.instant("until"),
        }

    async def _verdicts(self, wanted: Mapping[str, Any], cursor: str, limit: int) -> list[dict[str, Any]]:
        number, _, rule = cursor.partition("~")
        if not number.isascii() or not number.isdecimal() or len(number) > 18:
            raise InputError("parameter-malformed", "invalid cursor", fix="pass `next` of the previous page")
        asked = {**wanted, "after_subject": int(number), "after_rule": rule, "limit": limit}
        rows = await self._database.fetch("verdicts", asked)
        return [_shown(row, f"{row['subject']}~{row['rule']}") for row in rows if row["rule"] in _RULES]

    async def _never_spoke(self, wanted: Mapping[str, Any], after: str, limit: int) -> list[dict[str, Any]]:
        """Return the instances that run as the EC2 API says and never made a statement: missing evidence, so `unknown`.

        A period is about when they should have been heard of: `silent_after_seconds` after their launch.
        """
        period = {name: self._launched(wanted[name]) for name in ("since", "until")}
        place = {name: wanted[name] for name in ("account", "region", "instance")}
        before = to_instant(self._listening.silent_before)
        asked = {**place, **period, "launched_before": before, "after": after, "limit": limit}
        return [self._never(row) for row in await self._database.fetch("never_spoke", asked)]

    def _launched(self, instant: str | None) -> str | None:
        return to_instant(parse_instant(instant) - self._listening.silent_after) if instant is not None else None

    def _never(self, row: Row) -> dict[str, Any]:
        shown = {
            **{name: row[name] for name in ("instance_id", "account_id", "region", "ledger_index")},
            "rule": _SILENT,
            "verdict": "unknown",
            "reason": f"the EC2 API lists it as running, launched {row['launched_at']}, and it never made a statement",
            "since": to_instant(parse_instant(row["launched_at"]) + self._listening.silent_after),
            "application_id": None,
        }
        return _shown(shown, _NEVER + row["instance_id"])


def _may_have_never_spoken(wanted: Mapping[str, Any]) -> bool:
    """Whether instances of which no statement is known can match: neither their AMI nor their application is known."""
    return bool(
        _SILENT in msgspec.json.decode(wanted["rules"])
        and wanted["verdict"] in (None, "unknown")
        and wanted["any_application"]
        and wanted["ami"] is None
        and wanted["never"]
        and "running" in msgspec.json.decode(wanted["lives"])
    )


def _shown(row: Mapping[str, Any], cursor: str) -> dict[str, Any]:
    rule = _RULES[row["rule"]]
    named = {name: row[name] for name in _NAMES}
    return {**named, "severity": rule.severity, "remedy": rule.remedy, "cursor": cursor}
