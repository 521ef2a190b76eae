"""How long a source must not be asked, from its answer. Pure.

Sources: RFC 9110 (Retry-After); GitHub's REST API, "Rate limits" (403 or 429; x-ratelimit-*); GitLab's and Jira Cloud's
"Rate limiting" (RateLimit-*, X-RateLimit-Reset as a time).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

PAUSE_SECONDS_MAX = 3_600.0
PAUSE_SECONDS_MIN = 1.0
UNNAMED_SECONDS = 60.0
"""GitHub: without any header, wait at least a minute, and double."""
_DOUBLED_MAX = 6
_SIGNS = ("rate limit", "abuse detection")
_EPOCH_SECONDS_MIN = 10**8
"""A smaller reset is a number of seconds, not a time."""


def pause_seconds(status: int, headers: Mapping[str, str], body: str, *, now: datetime, times: int) -> float | None:
    """Return how long to wait before the next request; None when the source limits nothing.

    `times` is how many answers in a row were limited before this one. `headers` has names in lower case.
    """
    used_up = _remaining(headers) == 0
    named = _retry_after(headers.get("retry-after", ""), now)
    signs = named is not None or used_up or any(sign in body[:4096].lower() for sign in _SIGNS)
    if status == 429 or (status == 403 and signs):
        found = named if named is not None else _reset(headers, now) if used_up else None
        if found is None:
            found = UNNAMED_SECONDS * 2.0 ** min(times, _DOUBLED_MAX)
    elif used_up and status < 400:
        found = _reset(headers, now)
    else:
        return named if status == 503 else None
    return min(max(found, PAUSE_SECONDS_MIN), PAUSE_SECONDS_MAX) if found is not None else None


def _remaining(headers: Mapping[str, str]) -> int | None:
    value = (headers.get("x-ratelimit-remaining") or headers.get("ratelimit-remaining") or "").strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) < 12 else None


def _retry_after(value: str, now: datetime) -> float | None:
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), PAUSE_SECONDS_MAX)
    try:
        return (parsedate_to_datetime(value) - now).total_seconds() if value else None
    except (ValueError, TypeError):
        return None


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the time until the limit is reset, from seconds, a time since 1970, or an ISO time."""
    value = (headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset") or "").strip()
    if value.isascii() and value.isdigit() and len(value) < 12:
        seconds = float(value)
        return seconds - now.timestamp() if seconds >= _EPOCH_SECONDS_MIN else seconds
    try:
        moment = datetime.fromisoformat(value)
        return ((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - now).total_seconds()
    except ValueError:
        return None
