"""How long to wait before trying again: full jitter, so that a fleet does not come back in step."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_SECONDS = re.compile(r"[0-9]{1,5}\Z")


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


def retry_after_seconds(header: str) -> float | None:
    """Read a Retry-After of at most five digits; None when it is absent, a date, or nonsense (RFC 9110, 10.2.3)."""
    return float(header) if _SECONDS.match(header) else None
