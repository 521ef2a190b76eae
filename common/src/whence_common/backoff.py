"""How long to wait before a retry: exponential with full jitter, so that a fleet does not retry in step."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,5}\Z")
_SECONDS_MAX = 99_999.0
_DATE = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[A-Za-z]{0,6},? [A-Za-z0-9: -]{14,26}\Z")
"""HTTP's three date formats (RFC 9110, 5.6.7), loosely; what does not match is treated as an absent header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential backoff with full jitter. `random` returns a number in [0, 1)."""

    first_seconds: float
    longest_seconds: float
    random: Callable[[], float]

    def seconds(self, attempt: int, *, at_least_seconds: float | None = None) -> float:
        """Return the pause after an attempt, counted from 1; a server's Retry-After is honoured up to a bound."""
        ceiling = min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 30))
        pause = ceiling * (0.1 + 0.9 * self.random())
        if at_least_seconds is None:
            return pause
        return max(pause, min(at_least_seconds, self.longest_seconds * 4))


def retry_after_seconds(header: str, *, now: datetime) -> float | None:
    """Return the seconds that a Retry-After header states (RFC 9110, 10.2.3), as seconds or as a date.

    None if the header is absent or malformed. Both forms have the same bound; a date in the past returns 0.
    """
    if _SECONDS.match(header):
        return float(header)
    if not _DATE.match(header):
        return None
    try:
        moment = parsedate_to_datetime(header)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        return min(max(0.0, (moment - now).total_seconds()), _SECONDS_MAX)
    except (ValueError, TypeError, OverflowError):
        return None
