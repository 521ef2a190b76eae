"""The HTTP server as a service."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping

from aiohttp import hdrs, web

from whence_aggregator.applications.registry import Caller
from whence_aggregator.http.authentication import authentication
from whence_aggregator.http.errors import guarded
from whence_common.logs import fields

log = logging.getLogger(__name__)

_DRAIN_SECONDS_MAX = 10.0
_READ_BYTES = 64 * 1024


class Server:
    """Serves routes on one address. `listening` is called with the port once it listens.

    `callers` None leaves every path open: for programs whose callers prove in what they send who they are. Routes that
    are `proving` find out themselves who calls.
    """

    def __init__(
        self,
        *,
        routes: Iterable[web.RouteDef],
        callers: Mapping[str, Caller] | None,
        address: str,
        port: int,
        tls: ssl.SSLContext | None,
        listening: Callable[[int], None],
        proving: Iterable[web.RouteDef] = (),
    ) -> None:
        self._application = web.Application()
        self._application.add_routes(proving)
        authenticate = authentication(callers) if callers is not None else None
        for route in (*routes, web.route("*", "/{path:.*}", self._unknown)):
            self._application.router.add_route(route.method, route.path, guarded(route.handler, authenticate))
        self._address = address
        self._port = port
        self._tls = tls
        self._listening = listening

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        """Answer what no route is for; with another method there may be one."""
        allowed: set[str] = set()
        for resource in self._application.router.resources():
            allowed |= (await resource.resolve(request))[1]
        allowed.discard(hdrs.METH_ANY)
        if allowed:
            raise web.HTTPMethodNotAllowed(request.method, allowed)
        raise web.HTTPNotFound

    async def run(self) -> None:
        """Serve until cancelled, then let requests under way end."""
        runner = web.AppRunner(
            self._application,
            access_log=None,
            shutdown_timeout=_DRAIN_SECONDS_MAX,
            read_bufsize=_READ_BYTES,
            auto_decompress=False,
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, self._address, self._port, ssl_context=self._tls).start()
            port = runner.addresses[0][1]
            log.info("listening", extra=fields(address=self._address, port=port, tls=self._tls is not None))
            self._listening(port)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()
