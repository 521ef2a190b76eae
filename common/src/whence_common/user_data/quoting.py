"""Quotes the lines of user data that problems are about, without secrets. Pure.

A line may hold a secret, also where the document could not be parsed. Only known keys are therefore quoted, and a value
only if the masked document shows it for the same key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from whence_common.problems import Problem
from whence_common.user_data.keys import KEYS

HIDDEN = "…"
"""In place of what is not quoted."""
_LINE_CHARACTERS_MAX = 160
_LEVELS_MAX = 60
_LINE = re.compile(r"(?P<indent>\s*(?:-\s+)*)(?P<key>[^\s:#][^:]*)(?P<colon>:(?:\s+|$))(?P<value>.*)")
_KNOWN_KEYS = frozenset(part for name in KEYS for part in name.split(".") if part.isidentifier() or "_" in part)


def quoted_lines(content: bytes, problems: Iterable[Problem], document: Mapping[str, Any] | None) -> dict[int, str]:
    """Return the quoted line of each problem with a place, by its number from 1.

    `document` is the masked document; None if the content could not be parsed.
    """
    lines = content.decode("utf-8", "replace").splitlines()
    shown: dict[str, set[str]] = {key: set() for key in _KNOWN_KEYS}
    if document is not None:
        _collect(document, shown, 0)
    numbers = {one.line for one in problems if 0 < one.line <= len(lines)}
    return {number: _quoted(lines[number - 1], shown) for number in sorted(numbers)}


def _quoted(line: str, shown: Mapping[str, set[str]]) -> str:
    if line.strip() in ("", "#taupage-ami-config"):
        return line.strip()
    found = _LINE.fullmatch(line)
    if found is None:
        return HIDDEN
    values = shown.get(_plain(found["key"]))
    key = found["key"] if values is not None else HIDDEN
    value = found["value"]
    if value.strip() and (values is None or _plain(value) not in values):
        value = HIDDEN
    return _cut(f"{found['indent']}{key}{found['colon']}{value}")


def _plain(text: str) -> str:
    """Return a scalar without its quotes."""
    text = text.strip()
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"" else text


def _cut(line: str) -> str:
    line = line.replace("\t", " ").rstrip()
    return line if len(line) <= _LINE_CHARACTERS_MAX else line[: _LINE_CHARACTERS_MAX - 1] + HIDDEN


def _collect(value: Any, shown: dict[str, set[str]], level: int) -> None:
    """Add the keys of a masked document, each with its values as a line writes them."""
    inside = value.items() if isinstance(value, Mapping) else [("", one) for one in value if not isinstance(one, str)]
    for name, inner in inside:
        if isinstance(inner, Mapping | list):
            if isinstance(value, Mapping):
                shown.setdefault(str(name), set())
            if level < _LEVELS_MAX:
                _collect(inner, shown, level + 1)
        elif isinstance(value, Mapping):
            texts = {str(inner), str(inner).lower()} if isinstance(inner, bool) else {str(inner)}
            shown.setdefault(str(name), set()).update(texts)
