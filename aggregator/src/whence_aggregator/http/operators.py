"""Calls for operators: health, readiness, the contract, and a start page."""

from __future__ import annotations

from html import escape
from importlib import resources

from aiohttp import web

from whence_aggregator import __version__
from whence_aggregator.http.bodies import JsonResponse, respond_json
from whence_aggregator.http.parameters import no_parameters
from whence_aggregator.http.readiness import ANSWER_SECONDS_MAX, Readiness, slow_database
from whence_aggregator.http.shared import Shared
from whence_aggregator.ledger.log_reader import size_of
from whence_aggregator.ports import Database


class ProbeCalls:
    """Health and readiness of a process, without a token."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self._health),
            web.get("/.well-known/health", self._health),
            web.get("/ready", self._ready),
        ]

    async def _health(self, request: web.Request) -> JsonResponse:
        """Return that the process runs. Does not query the database: a probe must not add to its load."""
        no_parameters(request)
        return respond_json({"health": True})

    async def _ready(self, request: web.Request) -> JsonResponse:
        no_parameters(request)
        await self._readiness.check()
        return respond_json({"ready": True})


class OperatorCalls:
    """The contract, and a start page for browsers, without a token; they name no instance."""

    def __init__(self, *, database: Database, audience: str, console: bool = False) -> None:
        self._console = console
        self._size = Shared(lambda: size_of(database))
        self._audience = audience
        self._text = (resources.files("whence_aggregator") / "openapi.yaml").read_bytes()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self._page), web.get("/openapi.yaml", self._contract)]

    async def _contract(self, request: web.Request) -> web.Response:
        no_parameters(request)
        return web.Response(body=self._text, content_type="application/yaml", charset="utf-8")

    async def _page(self, request: web.Request) -> web.StreamResponse:
        no_parameters(request)
        if self._console and "text/html" in request.headers.get("Accept", ""):
            return web.Response(status=303, headers={"Location": "/console/", "Vary": "Accept"})
        try:
            size = await self._size.get(seconds_max=ANSWER_SECONDS_MAX)
        except TimeoutError as exc:
            raise slow_database() from exc
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
