"""All connections of a server: how many, what they hold in memory, how long they may rest; shared out by address."""

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
    """What connections may take. The defaults hold a process's memory for them below 600 MB."""

    connections_max: int = 16_384
    """One is 30 KB. One too many has the one that rested longest closed, of its own address where that has too many."""
    introduced_max: int = 2_048
    """What is no connection yet: its TLS handshake, or its proxy's header, has not ended. One is 60 KB."""
    held_bytes_max: int = 64 * 1024 * 1024
    """Received and not yet handled, of all connections together; as much again answered and not yet taken."""
    silent_seconds_max: float = 30.0
    """How long a new connection may be without a request."""
    rest_seconds_max: float = 120.0
    """Between two requests: above an agent's heartbeat, and above the 60 seconds of AWS's load balancers."""
    life_seconds_max: float = 3600.0
    requests_max: int = 10_000
    slow_seconds_max: float = 30.0
    """How long a client may take nothing of an answer; it earns time with what it takes."""
    bytes_per_second_min: float = 4096.0
    early_bytes_max: int = 64 * 1024
    """What may be sent ahead of the answer to the request before."""
    closing_seconds_max: float = 10.0
    """How long a closed connection may wait for its client to take the rest of an answer."""


class Connections:
    """Admits connections and ends those that take too much.

    A connection counts under `name`, its peer, and what it holds under `holder`, the client of its request:
    the two differ behind a proxy that forwards requests of many clients on one connection.
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
        """Make the protocol of a connection; `client` is whom a PROXY header named."""
        return Connection(inner, self, client)

    def of(self, request: web.BaseRequest) -> Connection | None:
        return self._all.get(request.protocol)

    def forwards(self, peer: str) -> bool:
        """Whether this peer names its clients request by request."""
        return self._proxies.told_by == "x-forwarded-for" and self._proxies.trusts(peer)

    def admit(self, connection: Connection) -> bool:
        """Take a new connection in, if need be for one that rests."""
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
        """Have it count as busy with a request, and the request as its client's."""
        self._resting.discard(connection)
        client = connection.peer
        if connection.forwards:
            client = self._proxies.client(client, request.headers.getall("X-Forwarded-For", []))
            self._hold_for(connection, limit_name(client))
        request[CLIENT_ADDRESS] = client
        request[CONNECTION] = connection
        connection.begin(request)

    def finish(self, connection: Connection, response: web.StreamResponse | None) -> None:
        """Have it count as resting; close it after this answer when it is old, or still sends what nobody reads."""
        connection.finish()
        if connection.ended:
            return
        self._resting.add(connection.name, connection)
        old = self.clock() - connection.opened_at > self.bounds.life_seconds_max
        old = old or connection.requests >= self.bounds.requests_max
        if response is not None and (old or connection.is_left_unread):
            response.force_close()

    def forget(self, connection: Connection) -> None:
        """Have a connection that is ended count no longer."""
        if self._all.pop(connection.inner, None) is not None:
            self.reading.forget(connection)
            self.received.let_go(connection)
            self.unsent.let_go(connection)
            self._resting.discard(connection)
            self._open.release(names(connection.name))

    def sweep(self) -> None:
        """End connections that are closed on our side, while their clients take no more."""
        for connection in list(self._all.values()):
            connection.sweep()

    def count(self, kind: RefusedKind, connection: Connection) -> None:
        self.refused.add(kind)
        log.info("connection ended", extra=fields(address=connection.peer, reason=kind, requests=connection.requests))

    def __len__(self) -> int:
        return len(self._all)

    def _hold_for(self, connection: Connection, holder: str) -> None:
        """Have what a proxy's connection holds count for another of its clients."""
        if holder != connection.holder:
            held = self.received.let_go(connection)
            connection.holder = holder
            if held:
                self.received.hold(connection, held)
