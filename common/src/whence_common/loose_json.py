"""JSON of others that may be anything: what cannot be read holds nothing."""

from __future__ import annotations

from typing import Any

import msgspec


def loose(content: bytes) -> dict[str, Any]:
    """Read a JSON object; give an empty one where there is none, or where its text could not be written again."""
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
