"""What connections sent is read some of it a round, addresses in turn, in its order, and none of it gets lost."""

from __future__ import annotations

import asyncio

from whence_aggregator.http.reading import Reading

PIECE = 4 * 1024


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Fed:
    """A connection that takes `seconds` to read a piece."""

    def __init__(self, holder: str, clock: Seconds, log: list[str], *, seconds: float = 0.0016) -> None:
        self.holder = holder
        self.ended = False
        self.paused = False
        self.received = b""
        self._clock, self._log, self._seconds = clock, log, seconds

    def feed(self, data: bytes) -> None:
        self.received += data
        self._clock.now += self._seconds
        self._log.append(self.holder)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def test_a_crowd_is_read_for_some_milliseconds_a_round_and_whoever_comes_beside_it_is_next() -> None:
    clock, log = Seconds(), list[str]()
    reading = Reading(clock)
    crowd = [Fed("crowd", clock, log) for _ in range(10)]
    neighbour = Fed("neighbour", clock, log)
    for one in (*crowd, neighbour):
        reading.take(one, b"x" * 2 * PIECE)
    assert log == ["crowd"] * 3
    await asyncio.sleep(0)
    assert log[3:] == ["crowd", "neighbour", "crowd"]
    await asyncio.sleep(0)
    assert log[6:] == ["neighbour", "crowd", "crowd"]


async def test_bytes_keep_their_order_and_a_connection_waits_until_all_are_read() -> None:
    clock = Seconds()
    reading, one = Reading(clock), Fed("a", clock, [])
    sent = bytes(range(256)) * 75
    reading.take(one, sent)
    reading.take(one, b"and more")
    assert (len(one.received), one.paused) == (3 * PIECE, True)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not one.paused
    assert one.received == sent + b"and more"
    reading.take(one, b"!")
    assert one.received[-1:] == b"!"


async def test_a_connection_that_ended_is_not_read_further() -> None:
    clock = Seconds()
    reading, gone, ended = Reading(clock), Fed("a", clock, []), Fed("b", clock, [])
    for one in (gone, ended):
        reading.take(one, b"x" * 10 * PIECE)
    reading.forget(gone)
    ended.ended = True
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(gone.received) <= 3 * PIECE
    assert len(ended.received) <= PIECE
