"""JSON of others that may be anything: what cannot be read holds nothing."""

from __future__ import annotations

import json
from typing import Any


def loose(content: bytes) -> dict[str, Any]:
    """Read a JSON object; give an empty one where there is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
