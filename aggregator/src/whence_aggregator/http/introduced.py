"""Connections before HTTP: first the PROXY header of a trusted proxy, then the TLS handshake.

Attackers can begin any number of them and never finish, so they are bounded by address, and the oldest is ended first:
a normal handshake takes a fraction of a second.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from whence_aggregator.callers.shares import Shares
from whence_aggregator.callers.trusted_proxies import TrustedProxies, limit_name
from whence_aggregator.http.connections import Connections
from whence_aggregator.http.held import InOrder, names
from whence_aggregator.http.proxy_protocol import ProxyHeaderInvalid, read_client
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

_ACCEPTED_A_ROUND = 64
"""uvloop accepts one a round: 500 that arrived at once delayed the next one by as many rounds of a busy loop."""
_PAUSE_SECONDS = 0.1
"""Pause after an accept that failed: most likely, too many files are open."""


class Introduced:
    """Accepts connections; those of proxies that are `introducing` must begin with a PROXY header."""

    def __init__(
        self,
        *,
        connections: Connections,
        proxies: TrustedProxies,
        accept: Callable[[], web.RequestHandler],
        tls: ssl.SSLContext | None,
        handshake_seconds_max: float,
    ) -> None:
        self._connections = connections
        self._proxies = proxies
        self._accept = accept
        self._tls = tls
        self._handshake_seconds_max = handshake_seconds_max
        self._shares = Shares(connections.bounds.introduced_max)
        self._begun = InOrder[asyncio.Task[None]]()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def accepting(self, listening: socket.socket) -> AsyncIterator[None]:
        """Accept for the block's duration."""
        listening.setblocking(False)
        loop_task = asyncio.create_task(self._run(listening))
        try:
            yield
        finally:
            for task in (loop_task, *self._tasks):
                task.cancel()
            await asyncio.gather(loop_task, *self._tasks, return_exceptions=True)

    async def _run(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, peer = await asyncio.get_running_loop().sock_accept(listening)
                self._begin(connection, str(peer[0]))
                for _ in range(_ACCEPTED_A_ROUND - 1):
                    connection, peer = listening.accept()
                    connection.setblocking(False)
                    self._begin(connection, str(peer[0]))
            except BlockingIOError:
                continue  # no connection waits any more
            except OSError as exc:
                log.warning("a connection cannot be accepted", extra=fields(reason=str(exc)))
                await pause(_PAUSE_SECONDS)

    def _begin(self, connection: socket.socket, peer: str) -> None:
        task = asyncio.create_task(self._introduce(connection, peer))
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, connection))
        of_many = self._introduces(peer) or self._connections.forwards(peer)
        if not self._admit(task, "" if of_many else limit_name(peer)):
            task.cancel()

    def _introduces(self, peer: str) -> bool:
        return self._proxies.told_by == "proxy-protocol" and self._proxies.trusts(peer)

    def _admit(self, task: asyncio.Task[None], name: str) -> bool:
        """Count a connection for its name, if necessary by ending the one that began first."""
        while (against := self._shares.claim(names(name))) is not None:
            self._connections.refused.add("connections")
            first = self._begun.first(against)
            if first is None:
                return False
            self._forget(first)
            first.cancel()
        self._begun.add(name, task)
        return True

    def _forget(self, task: asyncio.Task[None]) -> None:
        name = self._begun.discard(task)
        if name is not None:
            self._shares.release(names(name))

    def _ended(self, connection: socket.socket, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._forget(task)
        if task.cancelled():
            connection.close()

    async def _introduce(self, connection: socket.socket, peer: str) -> None:
        try:
            client = await self._client(connection, peer)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._connections.new(self._accept(), client),
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=self._handshake_seconds_max if self._tls is not None else None,
            )
        except ProxyHeaderInvalid as exc:
            self._connections.refused.add("proxy-header")
            log.warning("connection refused", extra=fields(address=peer, code=exc.code, reason=exc.diagnostics()))
            connection.close()
        except (OSError, TimeoutError):
            connection.close()  # disconnected, or not a TLS handshake

    async def _client(self, connection: socket.socket, peer: str) -> str | None:
        """Return the client that a proxy names; the connection counts as that client's from now on."""
        if not self._introduces(peer):
            return None
        client = await read_client(connection)
        task = asyncio.current_task()
        if client is not None and task is not None:
            self._forget(task)
            if not self._admit(task, limit_name(client)):
                raise ConnectionAbortedError("too many connections of this client have not finished their handshake")
        return client
