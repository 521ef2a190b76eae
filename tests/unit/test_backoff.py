"""Waiting: what a server says of when to come again is believed within bounds, and never breaks who asked."""

from __future__ import annotations

import pytest

from whence_common.backoff import Backoff, retry_after_seconds


@pytest.mark.parametrize("header, seconds", [("0", 0.0), ("7", 7.0), ("99999", 99999.0)])
def test_seconds_are_read(header: str, seconds: float) -> None:
    assert retry_after_seconds(header) == seconds


@pytest.mark.parametrize("header", ["", "-1", "1.5", "100000", "²", "١", "5\n", " 5", "Wed, 25 Nov 2026 08:00:00 GMT"])
def test_what_is_no_number_of_seconds_is_passed_over(header: str) -> None:
    assert retry_after_seconds(header) is None


def test_a_server_that_wants_us_back_in_years_is_asked_sooner() -> None:
    backoff = Backoff(first_seconds=1.0, longest_seconds=60.0, random=lambda: 0.0)
    assert backoff.seconds(1, at_least_seconds=99999.0) == 240.0
