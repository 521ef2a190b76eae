"""Instants are aware, UTC, and written as RFC 3339 with milliseconds, so that text sorts as time does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

Now = Callable[[], datetime]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLIS_MAX = 60_000_000_000_000
"""Years 69 to 3871: the range in which instants are written, well within the calendar's limits."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def to_instant(moment: datetime) -> str:
    """Return a moment as text, `2026-11-22T12:00:00.000Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def parse_instant(text: str) -> datetime:
    """Parse an RFC 3339 instant. Raises ValueError, also if the offset is missing or the text is too long."""
    if len(text) > 40:
        raise ValueError("too long for an instant")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("the offset from UTC is missing; write a Z at the end")
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("before the year 1 or after 9999 in UTC") from exc


def to_millis(moment: datetime) -> int:
    """Return a moment as milliseconds since 1970 UTC."""
    passed = moment - _EPOCH
    return (passed.days * 86_400 + passed.seconds) * 1000 + passed.microseconds // 1000


def from_millis(millis: int) -> str:
    """Return milliseconds since 1970 UTC as an instant's text."""
    minute, rest = divmod(millis, 60_000)
    return f"{_minute(minute)}{rest // 1000:02d}.{rest % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _minute(minutes: int) -> str:
    """Return an instant's text up to the seconds, cached: the moments in a list share few minutes."""
    return (_EPOCH + timedelta(minutes=minutes)).isoformat()[:17]
