"""What people and tools ask: traces, instances, statements, receipts, violations, rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web

from whence_aggregator.compliance.rules import RULES
from whence_aggregator.http.errors import respond_json
from whence_aggregator.http.parameters import Query, instance_id
from whence_aggregator.ports import Database, NotFound, Row
from whence_aggregator.trace.tracer import Subject, Tracer
from whence_common.clock import Now, to_instant
from whence_common.digest import is_sha256_digest
from whence_common.errors import InputError

_HISTORY_MAX = 100
_CAUSES = ("boot", "change", "stop", "failed")


class QueryCalls:
    """Answers from storage alone."""

    def __init__(self, *, database: Database, tracer: Tracer, now: Now) -> None:
        self._database = database
        self._tracer = tracer
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/trace", self._trace),
            web.get("/v1/instances", self._instances),
            web.get("/v1/instances/{id}", self._instance),
            web.get("/v1/statements/{digest}", self._statement),
            web.get("/v1/receipts/{digest}", self._receipt),
            web.get("/v1/violations", self._violations),
            web.get("/v1/rules", self._rules),
            web.get("/v1/summary", self._summary),
        ]

    async def _trace(self, request: web.Request) -> web.Response:
        names = ("instance", "image", "commit", "ticket", "application", "version", "user_data")
        query = Query(request, *names, "at", "limit", "cursor")
        subject, at = query.subject(), query.at()
        if not isinstance(subject, Subject):
            return respond_json((await self._tracer.instance(subject, at=at)).to_wire())
        lineages, following = await self._tracer.matching(
            subject, at=at, after=query.text("cursor") or "", limit=query.limit()
        )
        return respond_json(
            {
                "subject": subject.to_wire(),
                "at": at or to_instant(self._now()),
                "lineages": [lineage.to_wire() for lineage in lineages],
                "next": following,
            }
        )

    async def _instances(self, request: web.Request) -> web.Response:
        filters = ("application", "version", "account", "region", "image", "user_data")
        query = Query(request, *filters, "cause", "limit", "cursor")
        limit = query.limit()
        parameters = {name: query.text(name) for name in filters}
        rows = await self._database.fetch(
            "instances_now",
            {
                **parameters,
                "cause": query.choice("cause", _CAUSES),
                "after": query.text("cursor") or "",
                "limit": limit + 1,
            },
        )
        return _page("instances", [dict(row) for row in rows], limit, "instance_id")

    async def _instance(self, request: web.Request) -> web.Response:
        Query(request)
        wanted = instance_id(request.match_info["id"])
        lineage = await self._tracer.instance(wanted)
        history = await self._database.fetch("statements_of", {"instance_id": wanted, "limit": _HISTORY_MAX})
        verdicts = await self._database.fetch("verdicts_of", {"instance_id": wanted})
        return respond_json(
            {
                "lineage": lineage.to_wire(),
                "statements": [dict(row) for row in history],
                "verdicts": [dict(row) for row in verdicts],
            }
        )

    async def _statement(self, request: web.Request) -> web.Response:
        """Give the envelope's verbatim bytes."""
        row = await self._stored(request)
        return web.Response(body=bytes(row["body"]), content_type="application/vnd.dsse.envelope.v1+json")

    async def _receipt(self, request: web.Request) -> web.Response:
        row = await self._stored(request)
        names = ("digest", "ledger_index", "recorded_at")
        return respond_json({name: row[name] for name in names})

    async def _stored(self, request: web.Request) -> Row:
        Query(request)
        digest = request.match_info["digest"]
        if not is_sha256_digest(digest):
            raise InputError("parameter-malformed", "a statement is named by its digest: sha256: and 64 hex digits")
        rows = await self._database.fetch("statement_by_digest", {"digest": digest})
        if not rows:
            raise NotFound("statement-unknown", f"there is no statement {digest}")
        return rows[0]

    async def _violations(self, request: web.Request) -> web.Response:
        """Failed verdicts, and those that are unknown: missing evidence is nothing to rest on."""
        query = Query(request, "verdict", "rule", "account", "application", "instance", "limit", "cursor")
        limit = query.limit()
        after_instance, _, after_rule = (query.text("cursor") or "").partition("~")
        rows = await self._database.fetch(
            "verdicts",
            {
                "verdict": query.choice("verdict", ("fail", "unknown")),
                "rule": query.choice("rule", tuple(rule.id for rule in RULES)),
                "account": query.text("account"),
                "application": query.text("application"),
                "instance": query.text("instance"),
                "after_instance": after_instance,
                "after_rule": after_rule,
                "limit": limit + 1,
            },
        )
        rules = {rule.id: rule for rule in RULES}
        shown = [
            {
                **row,
                "severity": rules[row["rule"]].severity,
                "remedy": rules[row["rule"]].remedy,
                "cursor": f"{row['instance_id']}~{row['rule']}",
            }
            for row in rows
            if row["rule"] in rules
        ]
        return _page("violations", shown, limit, "cursor")

    async def _rules(self, request: web.Request) -> web.Response:
        Query(request)
        return respond_json({"rules": [rule.to_wire() for rule in RULES]})

    async def _summary(self, request: web.Request) -> web.Response:
        Query(request)
        accounts = await self._database.fetch("count_instances", {})
        verdicts = await self._database.fetch("count_verdicts", {})
        tasks = await self._database.fetch("count_tasks", {})
        size = (await self._database.fetch("last_index", {}))[0]["ledger_index"] + 1
        return respond_json(
            {
                "ledger_size": size,
                "instances": [dict(row) for row in accounts],
                "verdicts": [dict(row) for row in verdicts],
                "tasks": [dict(row) for row in tasks],
            }
        )


def _page(name: str, rows: Sequence[Mapping[str, object]], limit: int, cursor: str) -> web.Response:
    following = rows[limit - 1][cursor] if len(rows) > limit else None
    return respond_json({name: rows[:limit], "next": following})
