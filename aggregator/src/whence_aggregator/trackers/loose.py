"""Members of untrusted JSON documents: what is missing or of another type is empty. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from whence_common.clock import to_instant
from whence_common.errors import one_line

LINE_CHARACTERS_MAX = 300
TEXT_CHARACTERS_MAX = 16 * 1024


def member(document: Any, *names: str) -> Any:
    """Return the member at a path of names; None when it is missing."""
    for name in names:
        document = document.get(name) if isinstance(document, Mapping) else None
    return document


def line(document: Any, *names: str) -> str:
    """Return a text as one bounded, printable line; a whole number counts as text."""
    found = member(document, *names)
    if isinstance(found, int) and not isinstance(found, bool):
        found = str(found)
    return one_line(found, LINE_CHARACTERS_MAX) if isinstance(found, str) else ""


def text(document: Any, *names: str) -> str:
    """Return a text of several lines, cut."""
    found = member(document, *names)
    return found[:TEXT_CHARACTERS_MAX] if isinstance(found, str) else ""


def whole(document: Any, *names: str) -> int | None:
    found = member(document, *names)
    return found if isinstance(found, int) and not isinstance(found, bool) and abs(found) < 2**53 else None


def flag(document: Any, *names: str) -> bool:
    return member(document, *names) is True


def items(document: Any, *names: str) -> list[Any]:
    found = member(document, *names)
    return found if isinstance(found, list) else []


def instant(document: Any, *names: str) -> str:
    """Return a time as an instant in UTC; empty when it is missing or malformed."""
    found = member(document, *names)
    return as_instant(found) if isinstance(found, str) else ""


def as_instant(found: str) -> str:
    """Return an ISO 8601 time as an instant in UTC; empty when it is malformed. A time without a zone is in UTC."""
    try:
        moment = datetime.fromisoformat(found[:40])
        return to_instant((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC))
    except (ValueError, OverflowError):
        return ""


def link(document: Any, *names: str) -> str:
    """Return a URL of HTTP that can be shown; empty for anything else."""
    found = line(document, *names)
    return found if found.startswith(("https://", "http://")) and " " not in found else ""
