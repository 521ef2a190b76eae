"""Quiet hours and the times of digests, over midnight, weekends and changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from whence_aggregator.notifications.hours import Hours, QuietPeriod, always_quiet

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietPeriod(start=22 * 60, end=7 * 60)
WEEKEND = QuietPeriod(start=0, end=24 * 60, days=frozenset({5, 6}))
NIGHTS = Hours(zone=BERLIN, quiet=(NIGHT, WEEKEND))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_night_ends_in_the_morning_of_its_time_zone() -> None:
    assert NIGHTS.quiet_until(at("2026-11-25 20:59")) is None
    assert NIGHTS.quiet_until(at("2026-11-25 21:00")) == at("2026-11-26 06:00")
    assert NIGHTS.quiet_until(at("2026-11-26 05:59")) == at("2026-11-26 06:00")
    assert NIGHTS.quiet_until(at("2026-11-26 06:00")) is None


def test_the_nights_around_a_weekend_are_one_quiet_time_with_it() -> None:
    assert NIGHTS.quiet_until(at("2026-11-27 21:30")) == at("2026-11-30 06:00")


def test_a_night_is_an_hour_shorter_or_longer_when_the_clock_changes() -> None:
    nights = Hours(zone=BERLIN, quiet=(NIGHT,))
    assert nights.quiet_until(at("2026-03-28 21:00")) == at("2026-03-29 05:00")
    assert nights.quiet_until(at("2026-10-24 20:00")) == at("2026-10-25 06:00")
    hour = Hours(zone=BERLIN, quiet=(QuietPeriod(start=2 * 60, end=3 * 60),))
    assert hour.quiet_until(at("2026-03-29 01:00")) is None, "02:00 to 03:00 does not exist on this day"
    assert hour.quiet_until(at("2026-10-25 00:30")) == at("2026-10-25 02:00"), "and here it is there twice"


def test_nothing_is_sent_in_quiet_hours_and_webhooks_at_once_outside_of_them() -> None:
    assert NIGHTS.ready_until(at("2026-11-25 23:00")) is None
    assert NIGHTS.ready_until(at("2026-11-25 12:00")) == at("2026-11-25 12:00")


def test_a_digest_has_what_was_due_by_its_time() -> None:
    mail = Hours(zone=BERLIN, quiet=(NIGHT, WEEKEND), digests=(8 * 60, 16 * 60), digest_days=frozenset(range(5)))
    assert mail.ready_until(at("2026-11-25 06:59")) == at("2026-11-24 15:00")
    assert mail.ready_until(at("2026-11-25 07:00")) == at("2026-11-25 07:00")
    assert mail.ready_until(at("2026-11-28 12:00")) is None, "a Saturday is quiet"
    assert mail.ready_until(at("2026-11-30 06:30")) == at("2026-11-27 15:00"), "on Monday before the digest"


def test_a_digest_in_quiet_hours_is_sent_when_they_end() -> None:
    early = Hours(zone=BERLIN, quiet=(NIGHT,), digests=(5 * 60,))
    assert early.ready_until(at("2026-11-25 04:30")) is None
    assert early.ready_until(at("2026-11-25 06:00")) == at("2026-11-25 04:00")


def test_quiet_hours_without_end_are_found() -> None:
    assert always_quiet(Hours(quiet=(QuietPeriod(start=0, end=24 * 60),)))
    assert always_quiet(Hours(quiet=(QuietPeriod(start=0, end=0),)))
    assert always_quiet(Hours(quiet=(NIGHT, QuietPeriod(start=6 * 60, end=22 * 60))))
    assert not always_quiet(NIGHTS)
