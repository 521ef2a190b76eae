"""Since when agents can be heard, and whose silence is theirs."""

from __future__ import annotations

from datetime import datetime, timedelta

from fakes.clocks import FakeClock
from whence_aggregator.trace.listening import Listening

AFTER = 300


def listening(clock: FakeClock, heard_until: datetime | None = None) -> Listening:
    return Listening(clock, silent_after_seconds=AFTER, heard_until=heard_until)


def ago(clock: FakeClock, listening: Listening) -> float:
    return (clock() - listening.silent_before).total_seconds()


def test_who_listened_long_enough_goes_by_the_setting_alone() -> None:
    clock = FakeClock()
    heard = listening(clock, clock() - timedelta(days=1))
    clock.advance(AFTER)
    assert ago(clock, heard) == AFTER
    clock.advance(86_400)
    assert ago(clock, heard) == AFTER


def test_those_that_spoke_until_a_restart_speak_until_they_had_time_to_be_heard_again() -> None:
    clock = FakeClock()
    last = clock()
    clock.advance(3_600)
    heard = listening(clock, last)
    assert heard.silent_before == last - timedelta(seconds=AFTER)
    clock.advance(AFTER - 1)
    assert heard.silent_before == last - timedelta(seconds=AFTER)
    clock.advance(1)
    assert ago(clock, heard) == AFTER


def test_after_a_short_restart_agents_that_were_silent_before_are_still_silent() -> None:
    clock = FakeClock()
    heard = listening(clock, clock() - timedelta(seconds=5))
    assert ago(clock, heard) == AFTER + 5


def test_a_first_start_a_clock_set_back_and_an_empty_database_make_no_agent_silent_too_early() -> None:
    clock = FakeClock()
    assert ago(clock, listening(clock)) == AFTER
    assert ago(clock, listening(clock, clock() + timedelta(days=1))) == AFTER


def test_a_break_counts_from_its_beginning_however_often_it_is_noted() -> None:
    clock = FakeClock()
    heard = listening(clock)
    clock.advance(1_000)
    began = clock()
    for _ in range(20):
        heard.broken()
        clock.advance(60)
    assert heard.silent_before == began - timedelta(seconds=AFTER)
    clock.advance(AFTER)
    assert ago(clock, heard) == AFTER
