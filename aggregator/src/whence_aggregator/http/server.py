"""The HTTP server as a service."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from whence_aggregator.applications.registry import KnownCallers
from whence_aggregator.http.authentication import authentication
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.listening import cannot_listen
from whence_common.logs import fields

log = logging.getLogger(__name__)

Around = Callable[[str, Handler], Handler]
SILENT_SECONDS_MAX = 30.0
"""How long a new connection may be without a request; aiohttp bounds only how long it rests between two."""
FINISH_SECONDS_MAX = 35.0
"""How long requests under way may take at the end: a body may take 30 seconds to arrive."""
_ANSWER_SECONDS_MAX = 10.0
_AT_ONCE_SECONDS = 0.1
_READ_BYTES = 64 * 1024
_BACKLOG = 1024
"""A fleet that comes back at once waits in the kernel."""


class Server:
    """Serves routes on one address. `listening` is called with the port once it listens.

    `callers` None leaves every path open: for programs whose callers prove in what they send who they are. Routes that
    are `proving` find out themselves who calls. `around` is put around each handler, with the path of its route.
    """

    def __init__(
        self,
        *,
        routes: Iterable[web.RouteDef],
        callers: KnownCallers | None,
        address: str,
        port: int,
        tls: ssl.SSLContext | None,
        listening: Callable[[int], None],
        proving: Iterable[web.RouteDef] = (),
        silent_seconds_max: float = SILENT_SECONDS_MAX,
        around: Around | None = None,
    ) -> None:
        around = around or _as_it_is
        self._application = web.Application()
        self._application.add_routes(
            web.route(one.method, one.path, self._heard(around(one.path, one.handler)), **one.kwargs) for one in proving
        )
        authenticate = authentication(callers) if callers is not None else None
        for route in (*routes, web.route("*", "/{path:.*}", self._unknown)):
            handler = self._heard(around(route.path, guarded(route.handler, authenticate)))
            for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
                self._application.router.add_route(method, route.path, handler)
        self._address = address
        self._port = port
        self._tls = tls
        self._listening = listening
        self._silent_seconds_max = silent_seconds_max
        self._silent: dict[object, asyncio.TimerHandle] = {}
        self._under_way = 0
        self._none_under_way = asyncio.Event()
        self._finishing, self._finished = asyncio.Event(), asyncio.Event()

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        """Answer what no route is for; with another method there may be one."""
        allowed: set[str] = set()
        for resource in self._application.router.resources():
            allowed |= (await resource.resolve(request))[1]
        allowed.discard(hdrs.METH_ANY)
        if allowed:
            raise web.HTTPMethodNotAllowed(request.method, allowed)
        raise web.HTTPNotFound

    async def finish(self) -> None:
        """Take no more connections, and return once the requests under way have their answers."""
        self._finishing.set()
        await self._finished.wait()

    async def run(self) -> None:
        """Serve until cancelled, which ends all at once; `finish` comes first where requests under way matter."""
        runner = web.AppRunner(
            self._application,
            access_log=None,
            shutdown_timeout=_ANSWER_SECONDS_MAX,
            read_bufsize=_READ_BYTES,
            auto_decompress=False,
        )
        await runner.setup()
        assert runner.server is not None
        accept, loop = runner.server, asyncio.get_running_loop()

        def connect() -> asyncio.Protocol:
            connection = accept()
            self._silent[connection] = loop.call_later(self._silent_seconds_max, self._end, connection)
            return connection

        try:
            try:
                listener = await loop.create_server(connect, self._address, self._port, ssl=self._tls, backlog=_BACKLOG)
            except OSError as exc:
                raise cannot_listen(exc, self._address, self._port) from exc
            try:
                port = listener.sockets[0].getsockname()[1]
                log.info("listening", extra=fields(address=self._address, port=port, tls=self._tls is not None))
                self._listening(port)
                await self._finishing.wait()
            finally:
                listener.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(FINISH_SECONDS_MAX):
                    await self._answered()
            await runner.cleanup()  # reads no more of any body, and lets answers go out
            self._finished.set()
            await asyncio.Event().wait()
        finally:
            if runner.server is not None:
                await runner.server.shutdown(_AT_ONCE_SECONDS)
            await runner.cleanup()

    def _heard(self, handler: Handler) -> Handler:
        """Have a connection count as one that speaks HTTP from its first request on."""

        async def handle(request: web.Request) -> web.StreamResponse:
            timer = self._silent.pop(request.protocol, None)
            if timer is not None:
                timer.cancel()
            self._under_way += 1
            try:
                return await handler(request)
            finally:
                self._under_way -= 1
                if self._under_way == 0:
                    self._none_under_way.set()

        return handle

    async def _answered(self) -> None:
        """Wait until no request is under way."""
        while self._under_way:
            self._none_under_way.clear()
            await self._none_under_way.wait()

    def _end(self, connection: web.RequestHandler) -> None:
        """Close a connection that has asked nothing."""
        del self._silent[connection]
        connection.force_close()


def _as_it_is(_: str, handler: Handler) -> Handler:
    return handler
