"""All connections of a server: bounds of their number, memory and idle time, shared fairly by address."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from whence_aggregator.callers.shares import Shares
from whence_aggregator.callers.trusted_proxies import TrustedProxies, limit_name
from whence_aggregator.http.client_address import CLIENT_ADDRESS
from whence_aggregator.http.connection import Connection
from whence_aggregator.http.held import HeldBytes, InOrder, names
from whence_aggregator.http.reading import Reading
from whence_aggregator.http.refused import RefusedCounts, RefusedKind
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

CONNECTION = web.RequestKey("connection", Connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionBounds:
    """The bounds of connections. With the defaults, they use less than 600 MB of memory."""

    connections_max: int = 16_384
    """One takes 30 KB. One too many closes the longest idle, of its own address if that has too many."""
    introduced_max: int = 2_048
    """Connections whose TLS handshake, or whose proxy's header, has not ended. One takes 60 KB."""
    held_bytes_max: int = 64 * 1024 * 1024
    """Received and not yet handled bytes of all connections; the same bound holds for unsent bytes of answers."""
    silent_seconds_max: float = 30.0
    """How long a new connection may stay without a request."""
    rest_seconds_max: float = 120.0
    """Idle time between two requests: above an agent's heartbeat, and above the 60 seconds of AWS's load balancers."""
    life_seconds_max: float = 3600.0
    requests_max: int = 10_000
    slow_seconds_max: float = 30.0
    """How long a client may read nothing of an answer; what it reads extends the time."""
    bytes_per_second_min: float = 4096.0
    early_bytes_max: int = 64 * 1024
    """How many bytes a client may send before the previous request is answered."""
    closing_seconds_max: float = 10.0
    """How long a closing connection may wait for its client to read the rest of an answer."""


class Connections:
    """Admits connections and ends those that use too much.

    A connection counts for `name`, its peer; its held bytes count for `holder`, the client of its request. The two
    differ behind a proxy that forwards requests of many clients on one connection.
    """

    def __init__(
        self,
        *,
        bounds: ConnectionBounds,
        proxies: TrustedProxies,
        refused: RefusedCounts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bounds = bounds
        self.refused = refused
        self.clock = clock
        self._proxies = proxies
        self._open = Shares(bounds.connections_max)
        self.received = HeldBytes(bounds.held_bytes_max)
        self.unsent = HeldBytes(bounds.held_bytes_max)
        self.reading = Reading()
        self._resting = InOrder[Connection]()
        self._all: dict[asyncio.Protocol, Connection] = {}

    def new(self, inner: web.RequestHandler, client: str | None = None) -> Connection:
        """Return the protocol of a new connection; `client` is the address of a PROXY header."""
        return Connection(inner, self, client)

    def of(self, request: web.BaseRequest) -> Connection | None:
        return self._all.get(request.protocol)

    def forwards(self, peer: str) -> bool:
        """Return whether this peer names the client of each request."""
        return self._proxies.told_by == "x-forwarded-for" and self._proxies.trusts(peer)

    def admit(self, connection: Connection) -> bool:
        """Admit a new connection, if necessary by closing an idle one."""
        while (against := self._open.claim(names(connection.name))) is not None:
            resting = self._resting.first(against)
            if resting is None:
                self.count("connections", connection)
                return False
            resting.end("connections")
        self._all[connection.inner] = connection
        self._resting.add(connection.name, connection)
        return True

    def begin(self, connection: Connection, request: web.BaseRequest) -> None:
        """Count the connection as busy, and the request as its client's."""
        self._resting.discard(connection)
        client = connection.peer
        if connection.forwards:
            client = self._proxies.client(client, request.headers.getall("X-Forwarded-For", []))
            self._hold_for(connection, limit_name(client))
        request[CLIENT_ADDRESS] = client
        request[CONNECTION] = connection
        connection.begin(request)

    def finish(self, connection: Connection, response: web.StreamResponse | None) -> None:
        """Count the connection as idle; close it after this answer if it is old, or still sends an unread body."""
        connection.finish()
        if connection.ended:
            return
        self._resting.add(connection.name, connection)
        old = self.clock() - connection.opened_at > self.bounds.life_seconds_max
        old = old or connection.requests >= self.bounds.requests_max
        if response is not None and (old or connection.is_left_unread):
            response.force_close()

    def forget(self, connection: Connection) -> None:
        """Stop counting a connection that has ended."""
        if self._all.pop(connection.inner, None) is not None:
            self.reading.forget(connection)
            self.received.let_go(connection)
            self.unsent.let_go(connection)
            self._resting.discard(connection)
            self._open.release(names(connection.name))

    def sweep(self) -> None:
        """Abort connections that are closing while their clients read nothing."""
        for connection in list(self._all.values()):
            connection.sweep()

    def count(self, kind: RefusedKind, connection: Connection) -> None:
        self.refused.add(kind)
        log.info("connection ended", extra=fields(address=connection.peer, reason=kind, requests=connection.requests))

    def __len__(self) -> int:
        return len(self._all)

    def _hold_for(self, connection: Connection, holder: str) -> None:
        """Count the held bytes of a proxy's connection for another of its clients."""
        if holder != connection.holder:
            held = self.received.let_go(connection)
            connection.holder = holder
            if held:
                self.received.hold(connection, held)
