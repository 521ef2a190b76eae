"""Times in forms and addresses: a browser's field states no zone, and is read as UTC. Pure."""

from __future__ import annotations

import re

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_LOCAL = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?\Z")


def to_api_instant(text: str) -> str:
    """Return what a field for times contains as the API takes it; without a zone it is UTC. Others stay as they are."""
    if _DAY.match(text):
        return f"{text}T00:00:00Z"
    if not _LOCAL.match(text):
        return text
    return text.replace(" ", "T") + (":00Z" if len(text) == 16 else "Z")


def to_field(instant: str) -> str:
    """Return an instant in UTC as a field for local times takes it."""
    return instant.removesuffix("Z")


def asked_moment(text: str | None) -> str | None:
    """Return the time of a parameter as the API takes it; None if none was asked for."""
    return to_api_instant(text.strip()) if text is not None and text.strip() else None
