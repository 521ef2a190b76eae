"""The parts of a page that are replaced while it is open, by name: just as the page itself shows them. Pure."""

from __future__ import annotations

import re

_PART = re.compile(r'<(div|span) data-live="([a-z-]{1,40})"[^>]*>(.*?)</\1><!--live-->', re.DOTALL)
"""The comment ends a part: no text of others contains it, since every value is escaped."""


def live_parts(page: str) -> dict[str, str]:
    """Return the content of each part of a page that was rendered."""
    return {name: content.strip() for _, name, content in _PART.findall(page)}
