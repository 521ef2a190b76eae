"""The limits of connections to the status endpoint: few at once, for a short time, and never so that on-call is locked
out.

Containers can reach the endpoint too. A new connection is accepted as long as another one is idle: the oldest idle one
of the address with the most connections is closed for it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

CONNECTIONS_MAX = 64
"""Connections at once. Without a limit, a program on the machine could use up the agent's file descriptors."""
CONNECTIONS_OF_PEER_MAX = 16
"""Connections of one address at once, except for loopback, which on-call shares with all programs of the machine."""
CONNECTION_SECONDS_MAX = 30.0
"""Longest life of a connection, even if it is in use."""
IDLE_SECONDS_MAX = 5.0
"""Timeout for the head of a request, and for the next request after an answer."""


@dataclass(slots=True, kw_only=True, eq=False)
class StatusConnection:
    """One connection. `quiet_since`: when it was opened or last answered; `requests`: how many are being answered."""

    transport: asyncio.BaseTransport
    peer: str
    opened: float
    quiet_since: float
    requests: int = 0


class StatusConnections:
    """Admits connections, and closes those that exceed a limit."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float],
        seconds_max: float = CONNECTION_SECONDS_MAX,
        idle_seconds_max: float = IDLE_SECONDS_MAX,
    ) -> None:
        self._monotonic = monotonic
        self._seconds_max = seconds_max
        self._idle_seconds_max = idle_seconds_max
        self._held: dict[StatusConnection, None] = {}
        """The open connections, oldest first."""
        self._open = True
        self.arrived = asyncio.Event()
        """Set while there are connections."""

    def __len__(self) -> int:
        return len(self._held)

    def admit(self, transport: asyncio.BaseTransport) -> StatusConnection | None:
        """Admit a new connection, which may replace an idle one; return None if all others are in use."""
        peer = _address(transport)
        if not self._open:
            return None
        if not _is_loopback(peer):
            of_peer = [one for one in self._held if one.peer == peer]
            if len(of_peer) >= CONNECTIONS_OF_PEER_MAX and not self._make_room(of_peer):
                return None
        if len(self._held) >= CONNECTIONS_MAX and not self._make_room(list(self._held)):
            return None
        now = self._monotonic()
        held = StatusConnection(transport=transport, peer=peer, opened=now, quiet_since=now)
        self._held[held] = None
        self.arrived.set()
        return held

    def forget(self, held: StatusConnection) -> None:
        """Remove a closed connection."""
        self._held.pop(held, None)
        if not self._held:
            self.arrived.clear()

    def begin(self, held: StatusConnection) -> None:
        """Record that a request is being answered."""
        held.requests += 1

    def end(self, held: StatusConnection) -> None:
        """Record that a request was answered."""
        held.requests -= 1
        held.quiet_since = self._monotonic()

    def expire(self) -> None:
        """Close the connections that are idle or open for too long."""
        now = self._monotonic()
        for one in list(self._held):
            quiet = one.requests == 0 and now - one.quiet_since >= self._idle_seconds_max
            if quiet or now - one.opened >= self._seconds_max:
                self._close(one)

    def close(self) -> None:
        """Close all connections, and admit none from now on."""
        self._open = False
        for one in list(self._held):
            self._close(one)

    @property
    def expiry_seconds(self) -> float:
        """Return the interval of calls to `expire` while there are connections."""
        return min(self._idle_seconds_max, self._seconds_max) / 5

    def _make_room(self, among: list[StatusConnection]) -> bool:
        """Close the oldest idle connection of the address with the most. Return whether there was one."""
        idle = [one for one in among if one.requests == 0]
        if not idle:
            return False
        count = Counter(one.peer for one in among)
        most = max(count[one.peer] for one in idle)
        self._close(next(one for one in idle if count[one.peer] == most))
        return True

    def _close(self, held: StatusConnection) -> None:
        self.forget(held)
        if isinstance(held.transport, asyncio.Transport):
            held.transport.abort()  # does not wait until the client has read the rest


class Gate(asyncio.Protocol):
    """A protocol that forwards everything to another one if its connection is admitted."""

    def __init__(
        self, connections: StatusConnections, inner: asyncio.Protocol, held_by: dict[asyncio.Protocol, StatusConnection]
    ) -> None:
        self._connections = connections
        self._inner = inner
        self._held_by = held_by
        self._held: StatusConnection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._held = self._connections.admit(transport)
        if self._held is None:
            transport.close()
            return
        self._held_by[self._inner] = self._held
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._held is not None:
            self._connections.forget(self._held)
            self._held_by.pop(self._inner, None)
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._held is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received() if self._held is not None else None

    def pause_writing(self) -> None:
        if self._held is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._held is not None:
            self._inner.resume_writing()


def _address(transport: asyncio.BaseTransport) -> str:
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else ""


def _is_loopback(peer: str) -> bool:
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return False
