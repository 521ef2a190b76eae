"""How old something was at a time, in words. Pure."""

from __future__ import annotations

from whence_common.clock import parse_instant

_UNITS = (("day", 86_400), ("hour", 3_600), ("minute", 60))
_SHOWN_FROM = 2
"""A unit is used from so many of it on: 90 minutes say more than one hour."""


def age_seconds(then: str, now: str) -> float | None:
    """Return the seconds between two times; None if one is not a time."""
    try:
        return (parse_instant(now) - parse_instant(then)).total_seconds()
    except ValueError:
        return None


def age(then: str, now: str) -> str:
    """Return how long before `now` something was, like `3 days`; empty if it was not, or one is not a time."""
    seconds = age_seconds(then, now)
    if seconds is None or seconds < 0:
        return ""
    for name, size in _UNITS:
        if seconds >= size * _SHOWN_FROM:
            return f"{int(seconds // size)} {name}s"
    return f"{int(seconds)} second{'s' * (int(seconds) != 1)}"
