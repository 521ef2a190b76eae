"""When a destination may be sent to: quiet hours and the times of digests, in a time zone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAYS: tuple[Day, ...] = get_args(Day)
_CHAINED_MAX = 32
"""Quiet hours that follow each other without a gap: a weekend, and the nights around it."""
_DAYS_BACK_MAX = 8
_MINUTES_OF_DAY = 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietPeriod:
    """Minutes of the day, from `start` to before `end`; an `end` that is not later is on the next day."""

    start: int
    end: int
    days: frozenset[int] = frozenset(range(7))
    """The weekdays on which it begins; Monday is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Quiet hours in a time zone, and for mail the times at which digests are made."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    quiet: Sequence[QuietPeriod] = ()
    digests: Sequence[int] | None = None
    """Minutes of the day; None: each step is sent by itself."""
    digest_days: frozenset[int] = frozenset(range(7))

    def quiet_until(self, now: datetime) -> datetime | None:
        """Return when the quiet hours end that it is now; None outside of them."""
        until = now
        for _ in range(_CHAINED_MAX):
            ends = [end for start, end in self._quiet_around(until) if start <= until < end]
            if not ends:
                break
            until = max(ends)
        return until if until > now else None

    def ready_until(self, now: datetime) -> datetime | None:
        """Return until when a delivery must have been due to be sent now; None where nothing may be sent."""
        if self.quiet_until(now) is not None:
            return None
        return now if self.digests is None else self._digest_before(now)

    def _quiet_around(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        local = moment.astimezone(self.zone)
        for back in (1, 0):
            day = local.date() - timedelta(days=back)
            for one in self.quiet:
                if day.weekday() in one.days:
                    length = one.end - one.start if one.end > one.start else one.end + _MINUTES_OF_DAY - one.start
                    yield self._moment(day, one.start), self._moment(day, one.start + length)

    def _digest_before(self, now: datetime) -> datetime | None:
        today = now.astimezone(self.zone).date()
        for back in range(_DAYS_BACK_MAX):
            day = today - timedelta(days=back)
            if day.weekday() in self.digest_days:
                passed = [at for one in self.digests or () if (at := self._moment(day, one)) <= now]
                if passed:
                    return max(passed)
        return None

    def _moment(self, day: date, minute: int) -> datetime:
        """Return a minute of a local day in UTC; one that a change of the clock leaves out is an hour later."""
        days, rest = divmod(minute, _MINUTES_OF_DAY)
        local = datetime.combine(day + timedelta(days=days), time(rest // 60, rest % 60), self.zone)
        return local.astimezone(UTC)


def always_quiet(hours: Hours) -> bool:
    """Return whether quiet hours leave no minute of a week."""
    monday = datetime(2026, 1, 5, tzinfo=UTC)
    until = Hours(quiet=hours.quiet).quiet_until(monday)
    return until is not None and until >= monday + timedelta(days=9)
