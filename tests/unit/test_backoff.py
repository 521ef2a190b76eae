"""Waiting: what a server says of when to come again is believed within bounds, and never breaks who asked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from whence_common.backoff import Backoff, retry_after_seconds

NOW = datetime(2026, 11, 25, 8, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize("header, seconds", [("0", 0.0), ("7", 7.0), ("99999", 99999.0)])
def test_seconds_are_read(header: str, seconds: float) -> None:
    assert retry_after_seconds(header, now=NOW) == seconds


@pytest.mark.parametrize(
    "header, seconds",
    [
        ("Wed, 25 Nov 2026 08:00:30 GMT", 30.0),
        ("Wednesday, 25-Nov-26 08:00:30 GMT", 30.0),
        ("Wed Nov 25 08:00:30 2026", 30.0),
        ("Wed, 25 Nov 2026 07:59:00 GMT", 0.0),
        ("Thu, 25 Nov 2027 08:00:00 GMT", 99999.0),
    ],
)
def test_of_a_date_the_time_that_is_left_is_read(header: str, seconds: float) -> None:
    assert retry_after_seconds(header, now=NOW) == seconds


@pytest.mark.parametrize(
    "header",
    [
        "", "-1", "1.5", "100000", "²", "١", "5\n", " 5", "880.092µs", "tomorrow", "Wed, 25 Nov", "Wed, 99 Nov 2026 08:00:00 GMT",
        "Wed, 25 Nov 99999 08:00:00 GMT", "Wed, 25 Nov 2026 08:00:00 +99999999", "Wed, " + "2" * 10_000,
        "2026-11-25T08:00:30Z",
    ],
)  # fmt: skip
def test_what_is_neither_seconds_nor_a_date_is_passed_over(header: str) -> None:
    assert retry_after_seconds(header, now=NOW) is None


def test_a_server_that_wants_us_back_in_years_is_asked_sooner() -> None:
    backoff = Backoff(first_seconds=1.0, longest_seconds=60.0, random=lambda: 0.0)
    assert backoff.seconds(1, at_least_seconds=99999.0) == 240.0
