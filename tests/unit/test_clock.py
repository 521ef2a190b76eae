"""Instants: milliseconds and text mean the same moment, both ways."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_common.clock import from_millis, parse_instant, to_instant, to_millis

MOMENTS = st.datetimes(
    min_value=datetime.fromisoformat("0001-01-02"),
    max_value=datetime.fromisoformat("9999-12-30"),
    timezones=st.just(timezone(timedelta(hours=-7))),
)


@given(MOMENTS)
def test_an_instant_has_milliseconds_and_is_in_utc(moment: datetime) -> None:
    text = to_instant(moment)
    assert len(text) == len("2026-11-22T12:00:00.000Z")
    assert timedelta() <= moment - parse_instant(text) < timedelta(milliseconds=1)


@given(MOMENTS)
def test_milliseconds_are_written_as_their_moment_is(moment: datetime) -> None:
    assert from_millis(to_millis(moment)) == to_instant(moment)


@given(MOMENTS, MOMENTS)
def test_text_sorts_as_time_does(one: datetime, other: datetime) -> None:
    if to_millis(one) < to_millis(other):
        assert to_instant(one) < to_instant(other)


def test_before_1970_is_written_too() -> None:
    assert from_millis(-1) == "1969-12-31T23:59:59.999Z"
    assert from_millis(to_millis(datetime(2026, 11, 22, 12, tzinfo=UTC))) == "2026-11-22T12:00:00.000Z"


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-00:01",
        "2026-11-22T12:00:00",
        "yesterday",
        "",
        "2026-11-22T12:00:00Z" + " " * 40,
    ],
)
def test_text_without_an_offset_or_not_an_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_instant(text)
