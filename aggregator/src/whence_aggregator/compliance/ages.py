"""Ages of things, by instants that others state. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from whence_common.clock import parse_instant


def instant_or_none(text: str) -> datetime | None:
    """Return an instant that somebody stated; None when it is malformed."""
    try:
        return parse_instant(text)
    except ValueError:
        return None


def older_than(since: str, days: int, now: str) -> bool | None:
    """Return whether something began more than `days` ago; None when one of the instants is malformed."""
    began, ends = instant_or_none(since), instant_or_none(now)
    return None if began is None or ends is None else ends - began > timedelta(days=days)
