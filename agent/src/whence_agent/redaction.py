"""Masking by origin: values that were decrypted or fetched as secrets are masked in everything that is output."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from whence_common.user_data.masking import MASKED
from whence_common.visible import visible_json

_CHARACTERS_MIN = 5
"""Shorter values are common words, such as `true` or `8080`, that would be masked everywhere."""
_VALUES_MAX = 1_000
_LINES_MAX = 50


class Redactor:
    """Holds every secret of this process, in memory only, and masks them in text."""

    def __init__(self) -> None:
        self._values: dict[str, None] = {}

    def __repr__(self) -> str:
        return f"Redactor({len(self._values)} values)"

    def learn(self, value: str) -> None:
        """Add a secret, with the forms that it has in JSON, in a URL and in a repr."""
        if len(value) < _CHARACTERS_MIN:
            return
        forms = (
            value,
            json.dumps(value)[1:-1],
            json.dumps(value, ensure_ascii=False)[1:-1],
            visible_json(value)[1:-1],
            quote(value),
        )
        lines = [line for line in value.splitlines()[:_LINES_MAX] if len(line) >= _CHARACTERS_MIN]
        for form in (*forms, repr(value)[1:-1], *lines):
            self._values.pop(form, None)
            self._values[form] = None
        while len(self._values) > _VALUES_MAX:
            del self._values[next(iter(self._values))]  # the oldest: rotated long ago

    def scrub(self, text: str) -> str:
        """Return a text with all known secrets masked; the longest first, so that no rest of one remains."""
        for value in sorted(self._values, key=len, reverse=True):
            if value in text:
                text = text.replace(value, MASKED)
        return text

    def scrub_all(self, value: Any) -> Any:
        """Return nested JSON values with all known secrets masked; keys are unchanged."""
        if isinstance(value, str):
            return self.scrub(value)
        if isinstance(value, dict):
            return {key: self.scrub_all(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.scrub_all(inner) for inner in value]
        return value
