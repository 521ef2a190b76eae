"""Lenient parsing of untrusted JSON: what is malformed counts as an empty object."""

from __future__ import annotations

from typing import Any

import msgspec


def loose(content: bytes) -> dict[str, Any]:
    """Return a JSON object; an empty one if the content is not an object, or its text cannot be encoded again."""
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
