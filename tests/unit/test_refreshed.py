"""What takes long to read is returned as it was read last, while it is read again."""

from __future__ import annotations

import asyncio

import pytest

from whence_aggregator.http.shared import Refreshed


class _Slow:
    """Answers when a test lets it, with the number of the question."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.fails = False

    async def __call__(self) -> int:
        self.asked += 1
        number = self.asked
        await self.may_answer.wait()
        if self.fails:
            raise ConnectionError("away")
        return number


class _Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_only_the_first_reading_is_waited_for() -> None:
    slow, clock = _Slow(), _Clock()
    refreshed = Refreshed(slow, fresh_seconds=5.0, old_seconds_max=60.0, clock=clock)
    with pytest.raises(TimeoutError):
        await refreshed.get(seconds_max=0.0)
    slow.may_answer.set()
    assert await refreshed.get(seconds_max=1.0) == 1
    clock.seconds = 4.0
    assert (await refreshed.get(seconds_max=1.0), slow.asked) == (1, 1)
    slow.may_answer.clear()
    clock.seconds = 5.0
    for _ in range(3):
        assert await refreshed.get(seconds_max=1.0) == 1
        await asyncio.sleep(0)
    assert slow.asked == 2, "one question for all who ask meanwhile"
    slow.may_answer.set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert await refreshed.get(seconds_max=1.0) == 2


async def test_what_cannot_be_read_for_too_long_is_an_error() -> None:
    slow, clock = _Slow(), _Clock()
    slow.may_answer.set()
    refreshed = Refreshed(slow, fresh_seconds=5.0, old_seconds_max=60.0, clock=clock)
    assert await refreshed.get(seconds_max=1.0) == 1
    slow.fails = True
    clock.seconds = 59.0
    assert await refreshed.get(seconds_max=1.0) == 1
    clock.seconds = 66.0
    with pytest.raises(ConnectionError):
        await refreshed.get(seconds_max=1.0)
    await refreshed.close()
