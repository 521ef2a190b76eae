"""Memory that connections hold: shared by address; the connection that has held some for longest is ended first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from whence_aggregator.callers.shares import Shares

if TYPE_CHECKING:
    from whence_aggregator.http.connection import Connection

C = TypeVar("C")


class InOrder(Generic[C]):
    """Connections in the order in which they were added, overall and by name."""

    def __init__(self) -> None:
        self._all: dict[C, str] = {}
        self._by_name: dict[str, dict[C, None]] = {}

    def add(self, name: str, connection: C) -> None:
        self._all[connection] = name
        self._by_name.setdefault(name, {})[connection] = None

    def discard(self, connection: C) -> str | None:
        """Remove a connection; return its name, or None when it was not here."""
        name = self._all.pop(connection, None)
        if name is not None:
            named = self._by_name[name]
            del named[connection]
            if not named:
                del self._by_name[name]
        return name

    def first(self, name: str) -> C | None:
        """Return the connection that was added first, of a name, or of all for an empty name."""
        return next(iter(self._by_name.get(name, ()) if name else self._all), None)


class HeldBytes:
    """One kind of held bytes, bounded by `total`: received and not handled, or answered and not sent."""

    def __init__(self, total: int) -> None:
        self._shares = Shares(total)
        self._bytes: dict[Connection, int] = {}
        self._order: InOrder[Connection] = InOrder()

    def hold(self, connection: Connection, size: int) -> bool:
        """Count bytes for a connection's holder. Without room, end the connection that has held some for longest."""
        while (against := self._shares.claim(names(connection.holder), size)) is not None:
            oldest = self._order.first(against) or connection
            oldest.end("held-bytes")
            if oldest is connection:
                return False
        if connection not in self._bytes:
            self._order.add(connection.holder, connection)
        self._bytes[connection] = self._bytes.get(connection, 0) + size
        return True

    def let_go(self, connection: Connection, size: int | None = None) -> int:
        """Count `size` bytes, or all, as no longer held; return how many they were."""
        held = self._bytes.get(connection, 0)
        released = held if size is None else min(size, held)
        if released:
            self._shares.release(names(connection.holder), released)
        if released == held:
            self._bytes.pop(connection, None)
            self._order.discard(connection)
        else:
            self._bytes[connection] = held - released
        return released


def names(name: str) -> dict[str, float]:
    """Return the name that a claim counts for; no name for proxies, which forward for many clients."""
    return {name: 1.0} if name else {}
