"""What operators look at: health, readiness, metrics, the contract, and a page that says where to go."""

from __future__ import annotations

from html import escape
from importlib import resources

from aiohttp import web

from whence_aggregator import __version__
from whence_aggregator.http.bodies import Answer, respond_json
from whence_aggregator.http.parameters import no_parameters
from whence_aggregator.http.queries import counts
from whence_aggregator.http.readiness import Readiness
from whence_aggregator.ledger.publishing import Publisher
from whence_aggregator.ports import Database
from whence_common import open_metrics
from whence_common.open_metrics import Metric


class ProbeCalls:
    """Whether a process lives, and whether to send it requests. Open to everybody."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self._health),
            web.get("/.well-known/health", self._health),
            web.get("/ready", self._ready),
        ]

    async def _health(self, request: web.Request) -> Answer:
        """Whether the process lives. Asks no database: a probe must not add to its trouble."""
        no_parameters(request)
        return respond_json({"health": True})

    async def _ready(self, request: web.Request) -> Answer:
        no_parameters(request)
        await self._readiness.check()
        return respond_json({"ready": True})


class OperatorCalls:
    """Open to everybody; shows counts by account and rule, and names no instance."""

    def __init__(self, *, database: Database, publisher: Publisher, audience: str, readiness: Readiness) -> None:
        self._database = database
        self._publisher = publisher
        self._audience = audience
        self._probes = ProbeCalls(readiness)

    def routes(self) -> list[web.RouteDef]:
        return [
            *self._probes.routes(),
            web.get("/", self._page),
            web.get("/metrics", self._metrics),
            web.get("/openapi.yaml", self._contract),
        ]

    async def _metrics(self, request: web.Request) -> web.Response:
        no_parameters(request)
        size = (await self._database.fetch("last_index", {}))[0]["last_index"] + 1
        samples = [Metric(name="whence_ledger_entries", kind="gauge", help="Entries in the ledger.", value=float(size))]
        instances, _lives, verdicts, _accounts = counts(await self._database.fetch("tallies", {}))
        samples += [
            Metric(name="whence_instances", kind="gauge", help="Instances that have spoken.", value=float(n),
                   labels={"account": account})
            for account, n in sorted(instances.items())
        ]  # fmt: skip
        samples += [
            Metric(name="whence_verdicts", kind="gauge", help="Verdicts by rule.", value=float(n),
                   labels={"rule": rule, "verdict": verdict})
            for (rule, verdict), n in sorted(verdicts.items())
        ]  # fmt: skip
        samples += self._log_metrics()
        for row in await self._database.fetch("count_tasks", {}):
            samples.append(
                Metric(name="whence_tasks_waiting", kind="gauge", help="Work that waits.", value=float(row["n"]),
                       labels={"kind": row["kind"]})
            )  # fmt: skip
        body = open_metrics.render(samples).encode()
        return web.Response(body=body, headers={"Content-Type": open_metrics.CONTENT_TYPE})

    def _log_metrics(self) -> list[Metric]:
        """How old what auditors can rely on is."""
        published, witnessed = self._publisher.ages()
        found = [Metric(name="whence_checkpoint_age_seconds", kind="gauge", help="Since a checkpoint was published.",
                        value=published)]  # fmt: skip
        if witnessed is not None:
            help_ = "Since a published checkpoint had all its cosignatures."
            found.append(Metric(name="whence_unwitnessed_age_seconds", kind="gauge", help=help_, value=witnessed))
        return found

    async def _contract(self, request: web.Request) -> web.Response:
        no_parameters(request)
        text = (resources.files("whence_aggregator") / "openapi.yaml").read_text(encoding="utf-8")
        return web.Response(text=text, content_type="application/yaml")

    async def _page(self, request: web.Request) -> web.StreamResponse:
        no_parameters(request)
        size = (await self._database.fetch("last_index", {}))[0]["last_index"] + 1
        text = (
            "<!doctype html><html lang=en><meta charset=utf-8><title>Whence</title>"
            "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}</style>"
            f"<h1>Whence</h1><p>whence-aggregator {escape(__version__)} at {escape(self._audience)}, "
            f"{size} entries in the ledger.</p>"
            "<p>Ask with the command <code>whence trace i-…</code> or over HTTP: "
            "<a href=/openapi.yaml>the contract</a>, <a href=/metrics>metrics</a>, "
            "<a href=/health>health</a>.</p></html>"
        )
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return web.Response(text=text, content_type="text/html", headers=headers)
