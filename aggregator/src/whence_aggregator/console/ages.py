"""How long before another time something was, and how long it lasted, in words. Pure."""

from __future__ import annotations

from datetime import datetime

from whence_common.clock import parse_instant

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))
_SHOWN_FROM = 2
"""A unit is used from so many of it on: 90 minutes say more than one hour."""


def moment(text: object) -> datetime | None:
    """Return an instant; None for what is not one."""
    try:
        return parse_instant(str(text))
    except ValueError:
        return None


def seconds_between(then: object, now: object) -> float | None:
    """Return the seconds between two instants; None if one is not an instant."""
    begin, end = moment(then), moment(now)
    return (end - begin).total_seconds() if begin is not None and end is not None else None


def lasted(seconds: float) -> str:
    """Return a duration, like `3 d` or `90 min`."""
    for name, size in _UNITS:
        if seconds >= size * _SHOWN_FROM:
            return f"{int(seconds // size):,} {name}"
    return f"{int(seconds)} s"


def ago(then: object, now: object) -> str:
    """Return how long before `now` something was, like `3 d`; empty if it was not, or if one is not an instant."""
    seconds = seconds_between(then, now)
    return lasted(seconds) if seconds is not None and seconds >= 0 else ""


def shown_time(text: object) -> str:
    """Return an instant in a sentence, in UTC; what is not an instant as it is."""
    found = moment(text)
    return found.strftime("%d %b %Y %H:%M:%S UTC") if found is not None else str(text)
