"""What people and tools ask: traces, instances, statements, rules, the summary."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from whence_aggregator.compliance.rules.catalogue import RULES
from whence_aggregator.compliance.standing import standing_verdicts
from whence_aggregator.http.authentication import CALLER, require_user_data
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import Query, check_ami, instance_id
from whence_aggregator.ledger.log_reader import LogReader, Stored
from whence_aggregator.ports import Database, NotFound, Row
from whence_aggregator.queries.compliance import TALLIES
from whence_aggregator.queries.query import together
from whence_aggregator.queries.trace import STATEMENTS_OF, StatementsOfParameters
from whence_aggregator.queries.work import COUNT_TASKS
from whence_aggregator.trace.lineage import Lineage, without_user_data
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.search import Search, Wanted
from whence_aggregator.trace.state import States
from whence_aggregator.trace.tracer import Tracer, TraceSubject
from whence_common.clock import from_millis
from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.errors import InputError

_HISTORY_MAX = 100
_TIMES = ("at", "known_at")
_CAUSES = ("boot", "change", "stop", "failed")


class QueryCalls:
    """Answers from storage alone."""

    def __init__(self, *, database: Database, log: LogReader, search: Search, tracer: Tracer) -> None:
        self._database = database
        self._log = log
        self._search = search
        self._tracer = tracer

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/trace", self._trace),
            web.get("/v1/instances", self._instances),
            web.get("/v1/instances/{id}", self._instance),
            web.get("/v1/statements/{digest}", self._statement),
            web.get("/v1/rules", self._rules),
            web.get("/v1/summary", self._summary),
        ]

    async def _trace(self, request: web.Request) -> JsonResponse:
        names = ("instance", "image", "commit", "ticket", "application", "version", "user_data")
        query = Query(request, *names, "state", *_TIMES, "limit", "cursor")
        subject, moment = query.subject(), await self._moment(query)
        if not isinstance(subject, TraceSubject):
            if query.text("state") is not None:
                raise InputError("parameter-malformed", "state goes with lists; one instance is shown in any state")
            return respond_json(_shown(await self._tracer.instance(subject, moment=moment), request))
        states = States.parse(query.text("state"))
        lineages, following = await self._tracer.matching(
            subject, moment=moment, states=states, after=query.text("cursor") or "", limit=query.limit()
        )
        return respond_json(
            {
                "subject": subject.to_wire(),
                **moment.to_wire(),
                "lineages": [_shown(lineage, request) for lineage in lineages],
                "next": following,
            }
        )

    async def _instances(self, request: web.Request) -> JsonResponse:
        filters = ("application", "version", "account", "region", "image", "user_data", "commit", "ticket")
        query = Query(request, *filters, "cause", "state", "ami", "team", "since", "until", *_TIMES, "limit", "cursor")
        moment = await self._moment(query)
        first, before = await self._tracer.moments.period(query.instant("since"), query.instant("until"))
        wanted = Wanted(
            **{name: query.filter(name) for name in filters},
            cause=query.choice("cause", _CAUSES),
            ami=check_ami(query.text("ami")),
            team=query.text("team"),
            first=first,
            before=before,
            moment=moment,
            states=States.parse(query.text("state")),
        )
        rows, following = await self._search.instances(wanted, after=query.text("cursor") or "", limit=query.limit())
        if wanted.ticket is not None:
            rows = await self._tracer.naming(wanted.ticket, rows, moment=moment)
        return respond_json({**moment.to_wire(), "instances": rows, "next": following})

    async def _moment(self, query: Query) -> Moment:
        return await self._tracer.moments.of(query.instant("at"), query.instant("known_at"))

    async def _instance(self, request: web.Request) -> JsonResponse:
        query = Query(request, *_TIMES)
        wanted, moment = instance_id(request.match_info["id"]), await self._moment(query)
        lineage = await self._tracer.instance(wanted, moment=moment)
        page: StatementsOfParameters = {"instance_id": wanted, "past": moment.known_past, "limit": _HISTORY_MAX}
        history = await self._database.fetch(STATEMENTS_OF.bind(page))
        verdicts = await standing_verdicts(self._database, wanted) if moment.is_now else None
        return respond_json(
            {
                "lineage": _shown(lineage, request),
                "statements": [self._history(row) for row in history],
                "verdicts": verdicts,
            }
        )

    def _history(self, row: Row) -> dict[str, object]:
        content = self._log.content(row) if row["body"] is not None else None
        return {
            "digest": sha256_digest(content) if content is not None else None,
            **{name: row[name] for name in ("ledger_index", "enrolment", "sequence", "cause")},
            "observed_at": from_millis(row["observed_at"]),
            "recorded_at": from_millis(row["recorded_at"]),
            "image_digest": row["image_digest"] or None,
        }

    async def _statement(self, request: web.Request) -> web.Response:
        """Give the envelope's verbatim bytes."""
        stored = await self._stored(request)
        require_user_data(request)
        if stored.content is None:
            raise NotFound("entry-pruned", f"the body of entry {stored.ledger_index} was pruned; its hash remains")
        return web.Response(body=stored.content, content_type="application/vnd.dsse.envelope.v1+json")

    async def _stored(self, request: web.Request) -> Stored:
        Query(request)
        digest = request.match_info["digest"]
        if not is_sha256_digest(digest):
            raise InputError("parameter-malformed", "a statement is named by its digest: sha256: and 64 hex digits")
        stored = await self._log.find(digest)
        if stored is None:
            raise NotFound("statement-unknown", f"there is no statement {digest}")
        return stored

    async def _rules(self, request: web.Request) -> JsonResponse:
        Query(request)
        return respond_json({"rules": [rule.to_wire() for rule in RULES]})

    async def _summary(self, request: web.Request) -> JsonResponse:
        Query(request)
        tallies, tasks = await self._database.fetch_all(together(TALLIES.bind({}), COUNT_TASKS.bind({})))
        instances, lives, verdicts, by_account = counts(tallies)
        return respond_json(
            {
                "ledger_size": await self._log.size(),
                "instances": [{"account_id": account, "n": n} for account, n in sorted(instances.items())],
                "lives": [{"account_id": a, "life": life, "n": n} for (a, life), n in sorted(lives.items())],
                "verdicts": [{"rule": r, "verdict": v, "n": n} for (r, v), n in sorted(verdicts.items())],
                "verdicts_by_account": by_account,
                "tasks": [dict(row) for row in tasks],
            }
        )


def _shown(lineage: Lineage, request: web.Request) -> dict[str, object]:
    """Return a lineage as its caller may read it: user data is a right of its own."""
    return (lineage if request[CALLER].may_read_user_data else without_user_data(lineage)).to_wire()


def counts(
    tallies: Sequence[Row],
) -> tuple[dict[str, int], dict[tuple[str, str], int], dict[tuple[str, str], int], list[dict[str, object]]]:
    """Sort tallies into instances by account, lives by account, verdicts by rule, and verdicts by account and rule.

    The first counts instances that ever stated something, the second those that ever enrolled.
    """
    instances: dict[str, int] = {}
    lives: dict[tuple[str, str], int] = {}
    verdicts: dict[tuple[str, str], int] = {}
    by_account: list[dict[str, object]] = []
    for row in tallies:
        rule, _, verdict = row["subject"].partition("/")
        if not verdict:
            instances[row["account_id"]] = row["n"]
        elif rule == "life":
            lives[row["account_id"], verdict] = row["n"]
        elif row["n"]:
            verdicts[rule, verdict] = verdicts.get((rule, verdict), 0) + row["n"]
            by_account.append({"account_id": row["account_id"], "rule": rule, "verdict": verdict, "n": row["n"]})
    return instances, lives, verdicts, by_account
