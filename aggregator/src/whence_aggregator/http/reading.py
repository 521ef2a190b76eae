"""Bounds the time that the event loop spends on received bytes: some a round, and addresses in turn for the rest.

A megabyte in chunks of one byte takes as long as thirty in large chunks, before any handler sees it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

ROUND_SECONDS_MAX = 0.004
_PIECE_BYTES = 4 * 1024
"""At most about 700 chunks: aiohttp takes 0.4 ms to parse them, and its handler 2 ms to read them."""


class Fed(Protocol):
    """A connection, as Reading sees it. `holder` is the name it counts for."""

    ended: bool
    holder: str

    def feed(self, data: bytes) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Reading:
    """Feeds connections with their received bytes: at once, or paused until their address's turn."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._left_seconds = ROUND_SECONDS_MAX
        self._begun = False
        self._later: dict[Fed, bytearray] = {}
        self._turns: dict[str, deque[Fed]] = {}
        """Waiting connections by name; the next name comes first."""

    def take(self, connection: Fed, data: bytes) -> None:
        """Feed a connection with bytes; some of them later, if there are many."""
        later = self._later.get(connection)
        if later is not None:
            later += data
            connection.pause_reading()
            return
        self._begin()
        place = 0
        while place < len(data) and self._left_seconds > 0 and not connection.ended:
            self._feed(connection, data if len(data) <= _PIECE_BYTES else data[place : place + _PIECE_BYTES])
            place += _PIECE_BYTES
        if place < len(data) and not connection.ended:
            self._later[connection] = bytearray(data[place:])
            self._turns.setdefault(connection.holder, deque()).append(connection)
            connection.pause_reading()

    def forget(self, connection: Fed) -> None:
        """Drop the bytes that wait."""
        self._later.pop(connection, None)

    def _feed(self, connection: Fed, piece: bytes) -> None:
        began = self._clock()
        connection.feed(piece)
        self._left_seconds -= self._clock() - began

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """Begin a round with the bytes that wait."""
        self._begun, self._left_seconds = False, ROUND_SECONDS_MAX
        while self._turns and self._left_seconds > 0:
            name, waiting = next(iter(self._turns.items()))
            del self._turns[name]
            connection = waiting.popleft()
            if self._go_on(connection):
                waiting.append(connection)
            if waiting:
                self._turns[name] = waiting  # after all others
        if self._turns:
            self._begin()

    def _go_on(self, connection: Fed) -> bool:
        """Feed one piece of the bytes that wait; return whether more remain."""
        later = self._later.get(connection)
        if later is None:
            return False
        piece = bytes(later[:_PIECE_BYTES])
        del later[:_PIECE_BYTES]
        self._feed(connection, piece)
        if later and not connection.ended:
            return True
        self.forget(connection)
        connection.resume_reading()
        return False
