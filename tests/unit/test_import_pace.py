"""The pace of an import's requests: spaced, bounded, and a busy server is asked again."""

from __future__ import annotations

import pytest

from whence_aggregator.whence.client import Refused
from whence_aggregator.whence.importing.pace import Pace
from whence_aggregator.whence.importing.running import ProgressLines
from whence_common.errors import RoadError, WhenceError


class Waits:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def seconds(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def busy(exc: WhenceError) -> bool:
    return isinstance(exc, Refused) and exc.status == 503


def test_requests_are_spaced() -> None:
    waits = Waits()
    pace = Pace(seconds=waits.seconds, sleep=waits.sleep, per_second_max=4)
    for _ in range(4):
        pace.tried(lambda: None, retried=busy)
    assert waits.slept == [0.25, 0.25, 0.25]


def test_a_busy_server_is_asked_four_times_with_growing_pauses() -> None:
    waits, tries = Waits(), 0
    pace = Pace(seconds=waits.seconds, sleep=waits.sleep)

    def refuse() -> None:
        nonlocal tries
        tries += 1
        raise Refused(503, "busy", "not now", "")

    with pytest.raises(Refused):
        pace.tried(refuse, retried=busy)
    assert (tries, waits.slept) == (4, [1.0, 2.0, 4.0])


def test_a_server_that_limits_the_rate_is_asked_again_after_the_time_that_it_states() -> None:
    waits, tries = Waits(), 0
    pace = Pace(seconds=waits.seconds, sleep=waits.sleep)

    def limited() -> str:
        nonlocal tries
        tries += 1
        if tries < 9:
            raise Refused(429, "rate-limited", "too many", "", retry_after_seconds=7 if tries < 8 else 86_400)
        return "done"

    assert pace.tried(limited, retried=busy) == "done"
    assert waits.slept == [7.0] * 7 + [60.0]


def test_a_server_that_limits_the_rate_for_ever_ends_the_run() -> None:
    waits = Waits()
    pace = Pace(seconds=waits.seconds, sleep=waits.sleep, run_seconds_max=600)

    def limited() -> None:
        raise Refused(429, "rate-limited", "too many", "", retry_after_seconds=50)

    with pytest.raises(RoadError, match="the rest was not imported: the run took over 600 seconds"):
        pace.tried(limited, retried=busy)
    assert sum(waits.slept) == 650


def test_another_refusal_is_not_tried_again() -> None:
    waits, tries = Waits(), 0
    pace = Pace(seconds=waits.seconds, sleep=waits.sleep)

    def refuse() -> None:
        nonlocal tries
        tries += 1
        raise Refused(403, "forbidden", "no", "")

    with pytest.raises(Refused):
        pace.tried(refuse, retried=busy)
    assert (tries, waits.slept) == (1, [])


def test_a_run_ends_after_its_time() -> None:
    waits = Waits()
    pace = Pace(seconds=waits.seconds, sleep=waits.sleep, run_seconds_max=60)
    waits.now = 61
    with pytest.raises(RoadError, match="the run took over 60 seconds"):
        pace.tried(lambda: None, retried=busy)


def test_progress_is_printed_every_five_seconds() -> None:
    waits, lines = Waits(), list[str]()
    progress = ProgressLines(seconds=waits.seconds, say=lines.append)
    for number in range(12):
        progress(f"writing {number} of 12")
        waits.now += 1
    assert lines == ["writing 5 of 12", "writing 10 of 12"]
