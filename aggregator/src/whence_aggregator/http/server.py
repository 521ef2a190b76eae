"""The HTTP server as a service."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from whence_aggregator.callers.sign_in import Authenticator
from whence_aggregator.callers.trusted_proxies import TrustedProxies
from whence_aggregator.http.allowed import allowed_methods
from whence_aggregator.http.authentication import authentication
from whence_aggregator.http.connections import ConnectionBounds, Connections
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.introduced import Introduced
from whence_aggregator.http.listening import cannot_listen
from whence_aggregator.http.refused import RefusedCounts
from whence_aggregator.http.turns import Turns
from whence_common.runtime.logs import fields, report_suppressed
from whence_common.runtime.memory import FreedMemory, malloc_trim, resident_bytes
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

Around = Callable[[str, Handler], Handler]
FINISH_SECONDS_MAX = 35.0
"""How long requests under way may take at the end: a body may take 30 seconds to arrive."""
_ANSWER_SECONDS_MAX = 10.0
_AT_ONCE_SECONDS = 0.1
_LINGER_SECONDS_MAX = 2.0
"""How long the rest of a refused body is taken and thrown away: a client that still sends must see why."""
_HANDSHAKE_SECONDS_MAX = 10.0
_HOUSE_SECONDS = 5.0
_READ_BYTES = 64 * 1024
_HEADER_BYTES_MAX = 17 * 1024
"""Of one header: a token with two hundred groups has more than the 8 KiB that aiohttp takes."""
_UNSENT_BYTES_MAX = 128 * 1024
"""Of an answer, in the kernel, before the client takes it: each slow reader was sent megabytes otherwise."""
_BACKLOG = 1024
"""A fleet that comes back at once waits in the kernel."""
_REQUESTS_A_ROUND = 16
"""That begin in one round of the event loop, addresses in turn: 500 connections of one made others wait a second."""
_FILES_SHARE = 0.75
_INTRODUCED_FILES_SHARE = 0.1
"""Of the open files that are allowed; the others are for the database, backends and Git."""


class Server:
    """Serves routes on one address. `listening` is called with the port once it listens.

    `sign_in` None leaves every path open: for programs whose callers prove in what they send who they are. Routes that
    are `proving` find out themselves who calls. `around` is put around each handler, with the path of its route.
    """

    def __init__(
        self,
        *,
        routes: Iterable[web.RouteDef],
        sign_in: Authenticator | None,
        address: str,
        port: int,
        tls: ssl.SSLContext | None,
        listening: Callable[[int], None],
        proving: Iterable[web.RouteDef] = (),
        around: Around | None = None,
        proxies: TrustedProxies | None = None,
        refused: RefusedCounts | None = None,
        bounds: ConnectionBounds | None = None,
    ) -> None:
        around = around or _as_it_is
        self._application = web.Application()
        self._application.add_routes(
            web.route(one.method, one.path, self._heard(around(one.path, one.handler)), **one.kwargs) for one in proving
        )
        authenticate = authentication(sign_in) if sign_in is not None else None
        for route in (*routes, web.route("*", "/{path:(?s:.*)}", self._unknown)):
            handler = self._heard(around(route.path, guarded(route.handler, authenticate)))
            for method in ("GET", "HEAD") if route.method == "GET" else (route.method,):
                self._application.router.add_route(method, route.path, handler, name=route.kwargs.get("name"))
        self._address = address
        self._port = port
        self._tls = tls
        self._listening = listening
        self._proxies = proxies or TrustedProxies()
        self._connections = Connections(
            bounds=_within_files(bounds or ConnectionBounds()),
            proxies=self._proxies,
            refused=refused or RefusedCounts(),
        )
        self._turns = Turns(_REQUESTS_A_ROUND)
        self._under_way = 0
        self._none_under_way = asyncio.Event()
        self._finishing, self._finished = asyncio.Event(), asyncio.Event()

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        """Answer what no route is for; with another method there may be one."""
        if allowed := await allowed_methods(self._application.router, request):
            raise web.HTTPMethodNotAllowed(request.method, allowed)
        raise web.HTTPNotFound

    @property
    def routes(self) -> frozenset[tuple[str, str]]:
        """Return method and path of each route, with `{name}` for the parts of a path that vary."""
        return frozenset(
            (route.method, route.resource.canonical)
            for route in self._application.router.routes()
            if route.resource is not None and route.method != hdrs.METH_ANY
        )

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
            max_field_size=_HEADER_BYTES_MAX,
            keepalive_timeout=self._connections.bounds.rest_seconds_max,
            lingering_time=_LINGER_SECONDS_MAX,
        )
        await runner.setup()
        assert runner.server is not None
        house = asyncio.create_task(self._keep_house())
        try:
            async with self._listener(runner.server) as port:
                log.info("listening", extra=fields(on=self._address, port=port, tls=self._tls is not None))
                self._listening(port)
                await self._finishing.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(FINISH_SECONDS_MAX):
                    await self._answered()
            await runner.cleanup()  # reads no more of any body, and lets answers go out
            self._finished.set()
            await asyncio.Event().wait()
        finally:
            house.cancel()
            if runner.server is not None:
                await runner.server.shutdown(_AT_ONCE_SECONDS)
            await runner.cleanup()
            report_suppressed(at_once=True)

    @asynccontextmanager
    async def _listener(self, accept: Callable[[], web.RequestHandler]) -> AsyncIterator[int]:
        """Listen for the block's duration; give the port."""
        family = socket.AF_INET6 if ":" in self._address else socket.AF_INET
        try:
            listening = socket.create_server((self._address, self._port), family=family, backlog=_BACKLOG)
        except OSError as exc:
            raise cannot_listen(exc, self._address, self._port) from exc
        with listening:
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES_MAX)
            listening.setblocking(False)
            port = listening.getsockname()[1]
            introduced = Introduced(
                connections=self._connections, proxies=self._proxies, accept=accept, tls=self._tls,
                handshake_seconds_max=_HANDSHAKE_SECONDS_MAX,
            )  # fmt: skip
            async with introduced.accepting(listening):
                yield port

    async def _keep_house(self) -> None:
        memory = FreedMemory(resident_bytes=resident_bytes, trim=malloc_trim)
        while True:
            await pause(_HOUSE_SECONDS)
            self._connections.sweep()
            report_suppressed()
            await memory.give_back()

    def _heard(self, handler: Handler) -> Handler:
        """Have a request's connection know that it is busy with it, and count those under way."""

        async def handle(request: web.Request) -> web.StreamResponse:
            connection = self._connections.of(request)
            if connection is None:
                return web.Response(status=400)  # to nobody: the connection was ended meanwhile
            self._under_way += 1
            self._connections.begin(connection, request)
            response = None
            try:
                await self._turns.take(connection.holder)
                response = await handler(request)
            except ConnectionError:
                if request.transport is not None and not request.transport.is_closing():
                    raise
                return web.Response(status=400)  # to nobody: its client is gone, and no error of ours
            finally:
                self._connections.finish(connection, response)
                self._under_way -= 1
                if self._under_way == 0:
                    self._none_under_way.set()
            return response

        return handle

    async def _answered(self) -> None:
        """Wait until no request is under way."""
        while self._under_way:
            self._none_under_way.clear()
            await self._none_under_way.wait()


def _as_it_is(_: str, handler: Handler) -> Handler:
    return handler


def _within_files(bounds: ConnectionBounds) -> ConnectionBounds:
    files_max = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return replace(
        bounds,
        connections_max=min(bounds.connections_max, int(files_max * _FILES_SHARE)),
        introduced_max=min(bounds.introduced_max, int(files_max * _INTRODUCED_FILES_SHARE)),
    )
