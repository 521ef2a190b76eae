"""Turns: a crowd goes on a few a round, whoever comes beside it is next, and without a crowd nobody waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from whence_aggregator.http.turns import Turns


class Rounds:
    """Runs work at once, and notes in which round of the loop each of it had its turn."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.had: list[str] = []
        self.by_round: list[int] = []

    async def work(self, name: str) -> None:
        await self.turns.take(name)
        self.had.append(name)

    async def all(self, *names: str) -> None:
        tasks = [asyncio.ensure_future(self.work(name)) for name in names]
        while not all(task.done() for task in tasks):
            before = len(self.had)
            await asyncio.sleep(0)
            if len(self.had) > before:
                self.by_round.append(len(self.had) - before)


async def test_a_crowd_passes_a_few_in_each_round() -> None:
    rounds = Rounds(Turns(3))
    await rounds.all(*["a"] * 10)
    assert rounds.by_round == [3, 3, 3, 1]


async def test_whoever_comes_beside_a_crowd_is_next() -> None:
    rounds = Rounds(Turns(2))
    await rounds.all(*["crowd"] * 9, "one", "another")
    assert rounds.had[:6] == ["crowd", "crowd", "crowd", "one", "another", "crowd"]


async def test_without_a_crowd_nobody_waits() -> None:
    turns = Turns(2)
    for _ in range(5):
        for _ in range(2):
            taking = turns.take("a")
            try:
                taking.send(None)
            except StopIteration:
                pass
            else:
                raise AssertionError("it waited")
        await asyncio.sleep(0)


async def test_who_goes_away_while_waiting_uses_no_turn() -> None:
    rounds = Rounds(Turns(1))
    first, gone, last = (asyncio.ensure_future(rounds.work(name)) for name in ("first", "gone", "last"))
    await first
    gone.cancel()
    await last
    assert rounds.had == ["first", "last"]


async def test_pieces_come_in_their_order_each_in_a_turn() -> None:
    async def pieces() -> AsyncIterator[int]:
        for number in range(5):
            yield number

    assert [piece async for piece in Turns(1).each("a", pieces())] == [0, 1, 2, 3, 4]
