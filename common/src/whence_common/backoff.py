"""How long to wait before trying again: full jitter, so that a fleet does not come back in step."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,5}\Z")
_SECONDS_MAX = 99_999.0
_DATE = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[A-Za-z]{0,6},? [A-Za-z0-9: -]{14,26}\Z")
"""HTTP's three forms of dates (RFC 9110, 5.6.7), as far as that is needed to leave everything else to its absence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponential with full jitter. `random` gives a number in [0, 1)."""

    first_seconds: float
    longest_seconds: float
    random: Callable[[], float]

    def seconds(self, attempt: int, *, at_least_seconds: float | None = None) -> float:
        """Give the pause after the attempt numbered from 1; a server's Retry-After is honoured up to the bound."""
        ceiling = min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 30))
        pause = ceiling * (0.1 + 0.9 * self.random())
        if at_least_seconds is None:
            return pause
        return max(pause, min(at_least_seconds, self.longest_seconds * 4))


def retry_after_seconds(header: str, *, now: datetime) -> float | None:
    """Read a Retry-After (RFC 9110, 10.2.3): seconds of at most five digits, or a date, of which the time is left.

    None when it is absent or nonsense. A date is bounded as seconds are; one that has passed means at once.
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
