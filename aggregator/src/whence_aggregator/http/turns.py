"""Turns of the event loop: a bounded number of pieces of work a round, so that many of one caller delay no other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")


class Turns:
    """Allows `round_max` pieces of work in each round of the event loop: names in turn, each name's pieces in order."""

    def __init__(self, round_max: int) -> None:
        self._round_max = self._left = round_max
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """Waiting pieces by name; the next name comes first."""
        self._begun = False

    async def take(self, name: str) -> None:
        """Wait for a turn; return at once if few wait."""
        self._begin()
        if self._left > 0 and not self._waiting:
            self._left -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, deque()).append(turn)
        await turn

    async def each(self, name: str, pieces: AsyncIterator[T]) -> AsyncIterator[T]:
        """Yield pieces as they arrive, each in its turn."""
        async for piece in pieces:
            await self.take(name)
            yield piece

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """Begin a round: the pieces with a turn run together with all other ready work."""
        self._begun, self._left = False, self._round_max
        while self._waiting and self._left > 0:
            name, turns = next(iter(self._waiting.items()))
            del self._waiting[name]
            turn = turns.popleft()
            if turns:
                self._waiting[name] = turns  # after all others
            if not turn.done():  # a cancelled waiter needs no turn
                turn.set_result(None)
                self._left -= 1
        if self._waiting:
            self._begin()
