"""Viewers of live updates are bounded, in total and by session; readings are shared by those with the same rights."""

from __future__ import annotations

import asyncio
import json

import pytest

from whence_aggregator.http.console_live import LiveBounds, LiveFull, LiveViewers
from whence_aggregator.http.errors import status_of
from whence_aggregator.http.live_readings import LiveReadings
from whence_aggregator.http.shared_answers import Rights
from whence_aggregator.ports import Overloaded, StorageUnavailable

_ALL: Rights = ("organisation", None, ())
_OF_HELLO: Rights = ("teams", ("hello",), ())


def test_one_viewer_too_many_of_all_is_refused_with_503_and_of_a_session_with_429() -> None:
    viewers = LiveViewers(LiveBounds(viewers_max=3, of_session_max=2))
    with viewers.take("a"), viewers.take("a"):
        with pytest.raises(Overloaded) as of_session, viewers.take("a"):
            pass
        assert status_of(of_session.value) == 429
        with viewers.take("b"), pytest.raises(LiveFull) as full, viewers.take("c"):
            pass
        assert status_of(full.value) == 503
    with viewers.take("a"), viewers.take("b"), viewers.take("c"):
        pass


def test_the_viewers_of_a_session_that_was_signed_out_end_and_others_do_not() -> None:
    viewers = LiveViewers(LiveBounds())
    viewers.end("a")
    with viewers.take("a"), viewers.take("b"):
        assert not viewers.has_ended("a")
        viewers.end("a")
        assert (viewers.has_ended("a"), viewers.has_ended("b")) == (True, False)
    assert not viewers.has_ended("a")


class _Turn:
    """A pause that ends when a test has it end."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.begun = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.begun.set()
        await self.over.wait()
        self.over.clear()
        self.begun.clear()


class _Reader:
    """Reads parts that a test sets; an error is raised."""

    def __init__(self, **parts: str) -> None:
        self.parts: dict[str, str] | StorageUnavailable = parts
        self.asked = 0

    async def __call__(self) -> dict[str, str]:
        self.asked += 1
        if isinstance(self.parts, StorageUnavailable):
            raise self.parts
        return dict(self.parts)


def _parts(event: bytes) -> object:
    head, _, data = event.decode().partition("\ndata: ")
    assert head == "event: parts"
    assert data.endswith("\n\n")
    return json.loads(data)


async def test_viewers_with_the_same_rights_share_a_reading_and_receive_what_changed() -> None:
    turn, first, second, other = _Turn(), _Reader(ledger="1", teams="a"), _Reader(), _Reader(ledger="9")
    readings = LiveReadings(seconds_min=2.0, pause=turn)
    reading = readings.join(_ALL, first)
    assert readings.join(_ALL, second) is reading
    assert readings.join(_OF_HELLO, other) is not reading
    seen = await reading.next({}, seconds_max=5.0)
    assert _parts(reading.event({})) == {"ledger": "1", "teams": "a"}
    first.parts = {"ledger": "2", "teams": "a"}
    turn.over.set()
    newer = await reading.next(seen, seconds_max=5.0)
    assert _parts(reading.event(seen)) == {"ledger": "2"}
    assert _parts(reading.event({"ledger": "0", "teams": "a"})) == {"ledger": "2"}
    assert await reading.next(newer, seconds_max=0.0) is newer, "nothing changed"
    assert second.asked == 0
    readings.leave(_ALL, first)
    readings.leave(_ALL, second)
    readings.leave(_OF_HELLO, other)
    assert not reading.is_watched


async def test_when_one_viewer_cannot_read_another_one_does() -> None:
    turn, first, second = _Turn(), _Reader(), _Reader(ledger="1")
    first.parts = StorageUnavailable("storage-slow", "away")
    readings = LiveReadings(seconds_min=2.0, pause=turn)
    reading = readings.join(_ALL, first)
    readings.join(_ALL, second)
    await turn.begun.wait()
    assert (first.asked, second.asked, reading.parts) == (1, 0, {})
    turn.over.set()
    assert await reading.next({}, seconds_max=5.0) == {"ledger": "1"}
    readings.leave(_ALL, first)
    readings.leave(_ALL, second)
