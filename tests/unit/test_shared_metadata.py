"""An issuer's endpoints are read once for all who begin a sign-in, and again soon after a failure."""

from __future__ import annotations

import asyncio

import pytest

from whence_aggregator.http.shared import Shared


class _Issuer:
    """Answers with the number of the reading; or fails."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False

    async def __call__(self) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if self.fails:
            raise ConnectionError("away")
        return self.asked


class _Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def _shared(issuer: _Issuer, clock: _Clock) -> Shared[int]:
    return Shared(issuer, fresh_seconds=60.0, failed_seconds_max=1.0, clock=clock)


async def test_a_crowd_reads_once_and_the_answer_is_kept_for_its_time() -> None:
    issuer, clock = _Issuer(), _Clock()
    shared = _shared(issuer, clock)
    assert await asyncio.gather(*(shared.get(seconds_max=1.0) for _ in range(50))) == [1] * 50
    clock.seconds = 59.0
    assert await shared.get(seconds_max=1.0) == 1
    clock.seconds = 60.0
    assert await shared.get(seconds_max=1.0) == 2


async def test_a_failure_is_raised_to_all_and_read_again_after_a_second() -> None:
    issuer, clock = _Issuer(), _Clock()
    shared = _shared(issuer, clock)
    issuer.fails = True
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await shared.get(seconds_max=1.0)
    assert issuer.asked == 1
    issuer.fails, clock.seconds = False, 1.0
    assert await shared.get(seconds_max=1.0) == 2


async def test_an_answer_that_is_too_old_is_not_used_when_the_issuer_is_away() -> None:
    issuer, clock = _Issuer(), _Clock()
    shared = _shared(issuer, clock)
    await shared.get(seconds_max=1.0)
    issuer.fails, clock.seconds = True, 60.0
    with pytest.raises(ConnectionError):
        await shared.get(seconds_max=1.0)
