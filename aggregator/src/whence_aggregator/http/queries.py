"""Queries of users and tools: traces, instances, statements, rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from whence_aggregator.amis.package_query import PackageQuery
from whence_aggregator.amis.package_search import PackageSearch, WantedPackage
from whence_aggregator.compliance.rules.live import CurrentRules
from whence_aggregator.compliance.standing import standing_verdicts
from whence_aggregator.http.authentication import CALLER, require_user_data
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.own_teams import as_read_by
from whence_aggregator.http.parameters import SUBJECTS, Query, check_ami, instance_id
from whence_aggregator.ledger.log_reader import LogReader, Stored
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.trace.history import statements_of
from whence_aggregator.trace.lineage import Lineage
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.search import Search, Wanted
from whence_aggregator.trace.silences import silences_of
from whence_aggregator.trace.state import States
from whence_aggregator.trace.tracer import Tracer, TraceSubject
from whence_common.digest import is_sha256_digest
from whence_common.errors import InputError

_HISTORY_MAX = 100
_SILENCES_MAX = 50
_TIMES = ("at", "known_at")
_PACKAGE_STATES = ("matching", "unknown")
_BESIDE_PACKAGE = {"package", "package_state", "application", "team", "account", "region", "limit", "cursor"}
_CAUSES = ("boot", "change", "stop", "failed")


class QueryCalls:
    """Handlers that answer from storage alone."""

    def __init__(
        self,
        *,
        database: Database,
        log: LogReader,
        search: Search,
        tracer: Tracer,
        rules: CurrentRules,
        packages: PackageSearch,
    ) -> None:
        self._rules_in_force = rules
        self._database = database
        self._log = log
        self._search = search
        self._tracer = tracer
        self._packages = packages

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/trace", self._trace),
            web.get("/v1/instances", self._instances),
            web.get("/v1/instances/{id}", self._instance),
            web.get("/v1/statements/{digest}", self._statement),
            web.get("/v1/rules", self._rules),
        ]

    async def _trace(self, request: web.Request) -> JsonResponse:
        query = Query(request, "instance", *SUBJECTS, "version", "state", *_TIMES, "limit", "cursor")
        subject, moment = query.subject(), await self._moment(query)
        if not isinstance(subject, TraceSubject):
            if query.text("state") is not None:
                raise InputError("parameter-malformed", "state filters lists only: omit it for one instance")
            return respond_json(_shown(await self._tracer.instance(subject, moment=moment), request))
        states = States.parse(query.text("state"))
        lineages, following = await self._tracer.matching(
            subject, moment=moment, states=states, after=query.text("cursor") or "", limit=query.limit(),
            only_teams=request[CALLER].readable_teams,
        )  # fmt: skip
        return respond_json(
            {
                "subject": subject.to_wire(),
                **moment.to_wire(),
                "lineages": [_shown(lineage, request) for lineage in lineages if _may_read(lineage, request)],
                "ranges_waiting": await self._tracer.ranges_waiting(subject),
                "next": following,
            }
        )

    async def _with_package(self, request: web.Request, query: Query) -> JsonResponse:
        """Return the running instances with a package, or those of which that is unknown."""
        others = sorted(request.query.keys() - _BESIDE_PACKAGE)
        if others:
            message = f"package cannot be combined with {others[0]}"
            raise InputError(
                "parameter-malformed", message, fix="combine it with application, team, account and region"
            )
        wanted = WantedPackage(
            package=PackageQuery.parse(query.text("package") or ""),
            unknown=query.choice("package_state", _PACKAGE_STATES) == "unknown",
            application=query.filter("application"),
            team=query.text("team"),
            team_as_written=not request[CALLER].reads_everything,
            account=query.filter("account"),
            region=query.filter("region"),
        )
        page = await self._packages.instances(wanted, after=query.text("cursor") or "", limit=query.limit())
        moment = await self._tracer.moments.of()
        return respond_json(
            {
                **moment.to_wire(),
                "instances": page.instances,
                "packages_known": page.known,
                "next": page.following,
            }
        )

    async def _instances(self, request: web.Request) -> JsonResponse:
        filters = ("application", "version", "account", "region", "image", "user_data", "commit", "ticket")
        further = ("cause", "state", "ami", "team", "since", "until", *_TIMES, "links", "limit", "cursor")
        query = Query(request, *filters, *further, "package", "package_state")
        if "package" in request.query or "package_state" in request.query:
            return await self._with_package(request, query)
        with_links = query.choice("links", ("true",)) is not None
        moment = await self._moment(query)
        first, before = await self._tracer.moments.period(query.instant("since"), query.instant("until"))
        wanted = Wanted(
            application=query.filter("application"),
            version=query.filter("version"),
            account=query.filter("account"),
            region=query.filter("region"),
            image=query.filter("image"),
            user_data=query.filter("user_data"),
            commit=query.filter("commit"),
            ticket=query.filter("ticket"),
            cause=query.choice("cause", _CAUSES),
            ami=check_ami(query.text("ami")),
            team=query.text("team"),
            team_as_written=not request[CALLER].reads_everything,
            first=first,
            before=before,
            images_containing=(),
            moment=moment,
            states=States.parse(query.text("state")),
        )
        rows, following = await self._search.instances(wanted, after=query.text("cursor") or "", limit=query.limit())
        if wanted.ticket is not None:
            rows = await self._tracer.naming(wanted.ticket, rows, moment=moment)
        if with_links:
            rows = await self._with_links(rows, moment)
        return respond_json({**moment.to_wire(), "instances": rows, "next": following})

    async def _with_links(self, rows: Sequence[dict[str, Any]], moment: Moment) -> list[dict[str, Any]]:
        """Return rows with the states of their links; without them for an instance that could not be traced."""
        traced = await self._tracer.instances([row["instance_id"] for row in rows], moment=moment)
        found = {one.instance_id: one.states_to_wire() for one in traced}
        return [{**row, "lineage": found.get(row["instance_id"])} for row in rows]

    async def _moment(self, query: Query) -> Moment:
        return await self._tracer.moments.of(query.instant("at"), query.instant("known_at"))

    async def _instance(self, request: web.Request) -> JsonResponse:
        query = Query(request, *_TIMES)
        wanted, moment = instance_id(request.match_info["id"]), await self._moment(query)
        lineage = await self._tracer.instance(wanted, moment=moment)
        history = await statements_of(self._database, self._log, wanted, past=moment.known_past, limit=_HISTORY_MAX)
        silent = await silences_of(self._database, wanted, past=moment.known_past, limit=_SILENCES_MAX)
        verdicts = await standing_verdicts(self._database, wanted) if moment.is_now else None
        return respond_json(
            {
                "lineage": _shown(lineage, request),
                "statements": history,
                "silences": silent,
                "verdicts": verdicts,
            }
        )

    async def _statement(self, request: web.Request) -> web.Response:
        """Return the envelope's verbatim bytes."""
        stored = await self._stored(request)
        require_user_data(request)
        if stored.content is None:
            raise NotFound("entry-pruned", f"the body of entry {stored.ledger_index} was pruned; its hash remains")
        return web.Response(body=stored.content, content_type="application/vnd.dsse.envelope.v1+json")

    async def _stored(self, request: web.Request) -> Stored:
        Query(request)
        digest = request.match_info["digest"]
        if not is_sha256_digest(digest):
            raise InputError("parameter-malformed", "not a digest of a statement: write sha256: and 64 hex digits")
        stored = await self._log.find(digest)
        if stored is None:
            raise NotFound("statement-unknown", f"statement not found: {digest}")
        return stored

    async def _rules(self, request: web.Request) -> JsonResponse:
        Query(request)
        return respond_json({"rules": self._rules_in_force.current.to_wire()})


def _may_read(lineage: Lineage, request: web.Request) -> bool:
    owner = lineage.link("team").value
    return request[CALLER].may_read(owner["team_id"] if owner is not None else "")


def _shown(lineage: Lineage, request: web.Request) -> dict[str, object]:
    """Return a lineage as its caller may read it: user data is a right of its own. Raises Forbidden."""
    return as_read_by(request[CALLER], lineage).to_wire()
