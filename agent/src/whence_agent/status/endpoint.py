"""The aiohttp application behind the status endpoint, and the service that runs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from whence_agent.progress.progress import Progress
from whence_agent.redaction import Redactor
from whence_agent.status.connections import Gate, StatusConnection, StatusConnections
from whence_agent.status.document import AgentState, state_of, status_document
from whence_agent.status.host_names import is_own_host
from whence_agent.status.page import render_page
from whence_common import open_metrics
from whence_common.clock import parse_instant
from whence_common.open_metrics import Metric
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause
from whence_common.visible import visible_json

log = logging.getLogger(__name__)

_STATES: tuple[AgentState, ...] = ("booting", "ok", "degraded", "failed")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_MISDIRECTED = "421: this Host is not a name of this machine; use its address, or add the name to status_hosts\n"


class StatusEndpoint:
    """Serves the status on one address. `port` is known once `listening` is set."""

    def __init__(
        self,
        *,
        progress: Progress,
        redactor: Redactor,
        address: str,
        port: int,
        connections: StatusConnections,
        names: Collection[str] = (),
    ) -> None:
        self._redactor = redactor
        self._progress = progress
        self._address = address
        self._connections = connections
        self._names = frozenset({*names, address})
        self._held_by: dict[asyncio.Protocol, StatusConnection] = {}
        self.port = port
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled."""
        application = web.Application(client_max_size=1024, middlewares=[self._guard])
        application.add_routes(
            [
                web.get("/", self._page),
                web.get("/status", self._status),
                web.get("/health", self._health),
                web.get("/ready", self._ready),
                web.get("/metrics", self._metrics),
            ]
        )
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        assert runner.server is not None
        serve = runner.server

        def connect() -> asyncio.Protocol:
            return Gate(self._connections, serve(), self._held_by)

        try:
            listener = await asyncio.get_running_loop().create_server(connect, self._address, self.port)
            try:
                self.port = listener.sockets[0].getsockname()[1]
                self.listening.set()
                log.info("status endpoint listens", extra=fields(address=self._address, port=self.port))
                await self._close_old()
            finally:
                listener.close()
                self._connections.close()
        finally:
            await runner.cleanup()

    async def _close_old(self) -> None:
        """Expire connections: one task for all of them, which sleeps while there is none."""
        while True:
            await self._connections.arrived.wait()
            await pause(self._connections.expiry_seconds)
            self._connections.expire()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer only requests whose Host is this machine, and mark the connection as in use meanwhile."""
        held = self._held_by.get(request.protocol)
        if held is not None:
            self._connections.begin(held)
        try:
            if not is_own_host(request.headers.getall("Host", []), names=self._names):
                return web.Response(text=_MISDIRECTED, status=421, headers=_HEADERS)
            return await handler(request)
        finally:
            if held is not None:
                self._connections.end(held)

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = self._redactor.scrub_all(status_document(self._progress))
        return document

    async def _page(self, _: web.Request) -> web.Response:
        text = render_page(self._document())
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    async def _status(self, _: web.Request) -> web.Response:
        return _json(self._document(), 200)

    async def _health(self, _: web.Request) -> web.Response:
        """Return 200 only for the state ok, else 503."""
        state, reasons = state_of(self._progress)
        return _json({"state": state, "reasons": self._redactor.scrub_all(reasons)}, 200 if state == "ok" else 503)

    async def _ready(self, _: web.Request) -> web.Response:
        """Return 200 while the application runs, even if the aggregator is unreachable."""
        progress = self._progress
        container = progress.watched.container
        healthy = container is not None and "unhealthy" not in (container.health, container.engine_health)
        running = container is not None and container.state == "running"
        up = progress.boot.state == "up" and running and healthy and not progress.watched.ending
        return _json({"ready": up}, 200 if up else 503)

    async def _metrics(self, _: web.Request) -> web.Response:
        text = open_metrics.render(_samples(self._progress))
        return web.Response(body=text.encode(), headers={**_HEADERS, "Content-Type": open_metrics.CONTENT_TYPE})


def _samples(progress: Progress) -> list[Metric]:
    state, _ = state_of(progress)
    delivered, credentials = progress.delivered, progress.credentials.facts
    samples = [
        Metric(name="whence_agent_state", kind="gauge", help="1 for the state the agent is in.",
               value=float(state == name), labels={"state": name})
        for name in _STATES
    ]  # fmt: skip
    samples += [
        Metric(name="whence_agent_stage_seconds", kind="gauge", help="How long each boot stage took.",
               value=facts.seconds, labels={"stage": facts.name, "outcome": facts.outcome})
        for facts in progress.boot.stage_facts()
    ]  # fmt: skip
    counted = {
        "acknowledged": ("Statements the aggregator has acknowledged since the start.", delivered.acknowledged),
        "dropped": ("Statements given up.", delivered.dropped),
        "refused": ("Statements given up because the aggregator refused them.", delivered.refused),
    }
    samples += [
        Metric(name=f"whence_agent_statements_{name}", kind="counter", help=text, value=float(count))
        for name, (text, count) in counted.items()
    ]
    samples.append(
        Metric(name="whence_agent_statements_waiting", kind="gauge", help="Statements on disk.",
               value=float(delivered.waiting))
    )  # fmt: skip
    samples += _about_containers(progress)
    if credentials is not None:
        samples.append(
            Metric(name="whence_agent_credentials_generation", kind="gauge", help="Generation of the credentials.",
                   value=float(credentials.generation), labels={"state": credentials.state})
        )  # fmt: skip
    if credentials is not None and credentials.fetched_at:
        age_seconds = (progress.now() - parse_instant(credentials.fetched_at)).total_seconds()
        samples.append(
            Metric(name="whence_agent_credentials_age_seconds", kind="gauge", help="Since they were last current.",
                   value=age_seconds)
        )  # fmt: skip
    return samples


def _about_containers(progress: Progress) -> list[Metric]:
    running = progress.watched.containers()
    samples = [
        Metric(name="whence_agent_container_running", kind="gauge", help="1 while the container runs.",
               value=float(one.state == "running"), labels={"container": one.name})
        for one in running
    ]  # fmt: skip
    samples += [
        Metric(name="whence_agent_container_restarts", kind="counter", help="Restarts since the boot.",
               value=float(one.restarts), labels={"container": one.name})
        for one in running
    ]  # fmt: skip
    samples.append(
        Metric(name="whence_agent_drift", kind="gauge", help="Findings that user data did not ask for.",
               value=float(len(progress.watched.drift)))
    )  # fmt: skip
    return samples


def _json(document: object, status: int) -> web.Response:
    text = visible_json(document, indent=2) + "\n"
    return web.Response(text=text, status=status, content_type="application/json", headers=_HEADERS)
