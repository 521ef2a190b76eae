"""What strangers can have logged is bounded in number and length, and cannot look like anything but one event."""

from __future__ import annotations

import io
import json
import logging
import ssl
from typing import Any

import pytest
from aiohttp.http_exceptions import BadStatusLine

from whence_common.runtime.log_bounds import LogBounds, LogSampling, Suppressed
from whence_common.runtime.logs import BoundedStream, JsonLines, fields

BOUNDS = LogBounds(kind_burst=30.0, kind_per_second=2.0, address_burst=10.0, address_per_second=0.5)


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Log:
    """A log of its own, as `set_up` makes it."""

    def __init__(self) -> None:
        self.clock, self._written = Clock(), io.StringIO()
        self.sink = BoundedStream(self._written, bounds=BOUNDS, clock=self.clock)
        self.sink.setFormatter(JsonLines(str))

    def say(self, message: str, *, logger: str = "whence", level: int = logging.INFO, **values: object) -> None:
        record = logging.LogRecord(logger, level, __file__, 1, message, None, None)
        record.__dict__.update(fields(**values))
        self.sink.handle(record)

    @property
    def text(self) -> str:
        return self._written.getvalue()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def log() -> Log:
    return Log()


def test_one_address_has_a_burst_and_then_its_rate() -> None:
    clock = Clock()
    sampling = LogSampling(BOUNDS, clock)
    assert [sampling.passes("refused", "192.0.2.1") for _ in range(11)] == [True] * 10 + [False]
    clock.seconds = 2.0
    assert [sampling.passes("refused", "192.0.2.1") for _ in range(2)] == [True, False]


def test_a_flood_from_one_address_leaves_room_for_the_others() -> None:
    sampling = LogSampling(BOUNDS, Clock())
    for _ in range(2_000):
        sampling.passes("refused", "192.0.2.1")
    assert sampling.passes("refused", "192.0.2.2")
    assert sampling.take_suppressed(at_once=True) == [Suppressed(kind="refused", events=1_990, addresses=1)]


def test_a_flood_from_many_addresses_is_bounded_by_its_kind() -> None:
    sampling = LogSampling(BOUNDS, Clock())
    passed = [sampling.passes("refused", f"192.0.2.{number}") for number in range(200)]
    assert passed.count(True) == 30
    assert sampling.passes("sign-in refused", "192.0.2.1")
    assert sampling.take_suppressed(at_once=True) == [Suppressed(kind="refused", events=170, addresses=170)]


def test_a_value_does_not_replace_a_standard_field(log: Log) -> None:
    log.say("enrolled", event="a value", time="never")
    assert (log.events[0]["event"], log.events[0]["event_"], log.events[0]["time_"]) == ("enrolled", "a value", "never")
    assert log.events[0]["time"] != "never"


def test_two_thousand_refusals_are_a_few_lines_and_one_that_counts_the_rest(log: Log) -> None:
    for number in range(2_000):
        log.say("refused", address="192.0.2.1", path="/" + "x" * 8_000, request_id=str(number))
    log.clock.seconds = 11.0
    log.say("statements accepted", new=1)
    last = log.events[-1]
    assert (last["event"], last["kind"], last["events"], last["addresses"]) == (
        "events suppressed", "whence: refused", 1_990, 1,
    )  # fmt: skip
    assert len(log.events) == 12
    assert len(log.text) < 12 * 1_024


def test_suppressed_events_are_reported_without_another_event(log: Log) -> None:
    for _ in range(11):
        log.say("refused", address="192.0.2.1")
    log.sink.report_suppressed()
    assert log.events[-1]["event"] == "refused"
    log.clock.seconds = 10.0
    log.sink.report_suppressed()
    assert log.events[-1]["events"] == 1
    log.sink.report_suppressed(at_once=True)
    assert len(log.events) == 11


def test_events_of_our_own_are_all_logged(log: Log) -> None:
    for number in range(100):
        log.say("statements accepted", new=number)
    assert len(log.events) == 100


def test_warnings_without_an_address_are_bounded_too(log: Log) -> None:
    for _ in range(100):
        log.say("key refused", level=logging.WARNING, instance="i-0")
    assert len(log.events) == 30


@pytest.mark.parametrize(
    "sent", ["a\nb", "a\r\nb", "a\u2028b", "a\x85b", "a\x1b[2Jb", "a\u202eb", "a\x9bb", "a\U000e0001b"]
)
def test_no_value_ends_the_line_or_moves_the_cursor(log: Log, sent: str) -> None:
    log.say("refused", path=sent)
    assert len(log.text.splitlines()) == 1
    assert log.text.removesuffix("\n").isprintable()
    assert log.events[0]["path"] == sent


def test_a_long_value_is_cut_and_its_length_stated(log: Log) -> None:
    log.say("refused", path="x" * 8_000)
    assert log.events[0]["path"] == "x" * 512 + "… (8000 characters)"


@pytest.mark.parametrize("error", [ssl.SSLError("wrong version number"), ConnectionResetError(), TimeoutError()])
def test_a_lost_connection_is_logged_without_a_traceback(log: Log, error: Exception) -> None:
    record = logging.LogRecord("asyncio", logging.ERROR, __file__, 1, "SSL error", None, (type(error), error, None))
    log.sink.handle(record)
    assert log.events[0] | {"time": ""} == {
        "time": "", "level": "info", "logger": "asyncio", "event": "a connection broke off",
        "reason": type(error).__name__,
    }  # fmt: skip


def test_the_address_of_a_peer_without_http_is_logged_and_bounded(log: Log) -> None:
    error = BadStatusLine("x")
    for _ in range(20):
        log.sink.handle(
            logging.LogRecord(
                "aiohttp.server",
                logging.ERROR,
                __file__,
                1,
                "Error handling request from %s",
                ("192.0.2.7",),
                (type(error), error, None),
            )
        )
    assert len(log.events) == 10
    assert log.events[0]["address"] == "192.0.2.7"
    assert "exception" not in log.events[0]
