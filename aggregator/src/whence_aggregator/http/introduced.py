"""Connections that a proxy introduces with the PROXY protocol: the header first, then TLS, then HTTP."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from whence_aggregator.http.connections import Connections
from whence_aggregator.http.proxy_protocol import ProxyHeaderInvalid, read_client
from whence_aggregator.trusted_proxies import TrustedProxies
from whence_common.logs import fields
from whence_common.pause import pause

log = logging.getLogger(__name__)

_WAITING_MAX = 1_024
"""Connections whose header or handshake has not ended."""
_PAUSE_SECONDS = 0.1
"""After an accept that failed: all files are open, most likely."""


class Introduced:
    """Accepts connections: from trusted proxies with a header, which must be there; from others as they are."""

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
        self._waiting: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def accepting(self, listening: socket.socket) -> AsyncIterator[None]:
        """Accept for the block's duration."""
        listening.setblocking(False)
        loop_task = asyncio.create_task(self._run(listening))
        try:
            yield
        finally:
            for task in (loop_task, *self._waiting):
                task.cancel()
            await asyncio.gather(loop_task, *self._waiting, return_exceptions=True)

    async def _run(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listening)
            except OSError as exc:
                log.warning("a connection cannot be accepted", extra=fields(reason=str(exc)))
                await pause(_PAUSE_SECONDS)
                continue
            if len(self._waiting) >= _WAITING_MAX:
                self._connections.refused.add("connections")
                connection.close()
                continue
            task = asyncio.create_task(self._introduce(connection, str(peer[0])))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

    async def _introduce(self, connection: socket.socket, peer: str) -> None:
        try:
            client = await read_client(connection) if self._proxies.trusts(peer) else None
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
            connection.close()  # gone, or a handshake that was none
        except asyncio.CancelledError:
            connection.close()
            raise
