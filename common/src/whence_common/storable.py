"""Values that every database can store: text without NUL and lone surrogates, and integers of 64 bits.

PostgreSQL's text cannot contain NUL, SQLite's can. To behave equally with both, requests with such text are refused,
and collected data is cleaned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from whence_common.errors import InputError

REPLACEMENT = "\ufffd"
INTEGER_MAX = 2**63 - 1
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_FIX = "send text without U+0000 and without lone surrogates"


class Unstorable(InputError):
    """A database cannot store the value: it has NUL or a lone surrogate, or is too large."""

    def __init__(self, what: str) -> None:
        super().__init__("text-unstorable", f"{what} contains NUL or a lone surrogate", fix=_FIX)


def is_storable(text: str) -> bool:
    return _UNSTORABLE.search(text) is None


def check_texts(texts: Iterable[str], what: str) -> None:
    """Check that texts can be stored. Raises Unstorable, with `what` in its message."""
    if not all(map(is_storable, texts)):
        raise Unstorable(what)


def check_json(content: bytes, what: str) -> None:
    """Check a JSON document's bytes for an escaped NUL, in values and in keys. Raises Unstorable.

    Lone surrogates need no check: the JSON decoder refuses them.
    """
    if b"\\u0000" in content and _ESCAPED_NUL.search(content) is not None:
        raise Unstorable(what)


def cleaned(value: Any) -> Any:
    """Return a JSON value with U+FFFD for characters that cannot be stored; a too large number becomes text."""
    if isinstance(value, str):
        return _UNSTORABLE.sub(REPLACEMENT, value)
    if isinstance(value, dict):
        return {cleaned(name): cleaned(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [cleaned(one) for one in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > INTEGER_MAX:
        return str(value)
    return value
