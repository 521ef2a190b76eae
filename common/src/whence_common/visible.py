"""Make text from outside safe for terminals and logs: no character moves the cursor or changes the text direction."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

REPLACEMENT = "\ufffd"
_WORDS = re.compile(r"[^ -~\n]+")
"""Runs of characters that are not printable ASCII."""


def printable(text: object) -> str:
    """Return the text in one line, with U+FFFD for each control, bidirectional and other invisible character."""
    shown = str(text)
    if shown.isprintable():  # nearly always, and a page has thousands of texts
        return shown
    return "".join(c if c.isprintable() else REPLACEMENT for c in shown)


def visible_json(value: Any, *, indent: int | None = None, default: Callable[[Any], Any] | None = None) -> str:
    """Return JSON in which characters that are not printable are escaped; the decoded value is unchanged."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=default)
    return _WORDS.sub(lambda found: "".join(map(_escaped, found[0])), text)


def _escaped(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]
