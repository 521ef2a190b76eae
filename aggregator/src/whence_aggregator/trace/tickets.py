"""Tickets named in a commit message, by the patterns of the application.

A pattern is plain text with `{number}` in it, and perhaps `{project}`: no regular expression comes from outside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from whence_common.errors import InputError

DEFAULT_PATTERNS = ("{project}-{number}", "#{number}")
PATTERNS_MAX = 20
TICKETS_MAX = 50
MESSAGE_CHARACTERS_MAX = 64 * 1024
_PATTERN = re.compile(r"(?=.*\{number\})[A-Za-z0-9_./#:{}-]{1,100}\Z")
_WORD = re.compile(r"[A-Za-z0-9_./#-]*[0-9][A-Za-z0-9_./#-]*")
_WORDS_MAX = 200
_WORD_CHARACTERS_MAX = 100


class TicketPatternInvalid(InputError):
    """The text is no pattern for tickets."""


def check_pattern(pattern: str) -> None:
    """Raises TicketPatternInvalid unless the text can be used as a pattern."""
    rest = pattern.replace("{number}", "", 1).replace("{project}", "", 1)
    if not _PATTERN.match(pattern) or "{" in rest or "}" in rest:
        raise TicketPatternInvalid(
            "ticket-pattern-invalid", f"{pattern[:100]!r} is no ticket pattern", fix="write it like PAY-{number}"
        )


def tickets_in(message: str, patterns: Sequence[str]) -> tuple[str, ...]:
    """Give the tickets named in a message, in order, each once."""
    expression = re.compile("|".join(_compiled(pattern) for pattern in patterns))
    found = (match.group(0) for match in expression.finditer(message[:MESSAGE_CHARACTERS_MAX]))
    return tuple(dict.fromkeys(found))[:TICKETS_MAX]


def words_of(message: str) -> tuple[str, ...]:
    """Give the words by which a commit can be found again from its tickets: those with a digit in them."""
    found: dict[str, None] = {}
    for match in _WORD.finditer(message[:MESSAGE_CHARACTERS_MAX]):
        whole = match.group(0).strip("./")
        for word in (whole, *re.split(r"[/.]", whole)):
            if 0 < len(word) <= _WORD_CHARACTERS_MAX and any(c.isdigit() for c in word):
                found[word] = None
    return tuple(found)[:_WORDS_MAX]


def _compiled(pattern: str) -> str:
    text = re.escape(pattern)
    text = text.replace(re.escape("{number}"), "[0-9]{1,12}").replace(re.escape("{project}"), "[A-Z][A-Z0-9]{1,15}")
    return rf"(?<![A-Za-z0-9_]){text}(?![A-Za-z0-9_-])"
