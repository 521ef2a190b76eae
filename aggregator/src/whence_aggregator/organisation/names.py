"""Names of teams: which text can be one, when two are the same, and how a name that people read may look. Pure."""

from __future__ import annotations

import re

from whence_common.errors import one_line
from whence_common.storable import REPLACEMENT, cleaned

TEAM_ID_CHARACTERS_MAX = 100
_TEAM_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")
SHOWN_CHARACTERS_MAX = 200
MEMBER_CHARACTERS_MAX = 200


def is_team_id(text: str) -> bool:
    """Return whether a text can be a team's id or alias: ASCII alone, so that no letter only looks like another.

    It is one segment of a path: no `/`, and nothing that a path would leave out.
    """
    return len(text) <= TEAM_ID_CHARACTERS_MAX and _TEAM_ID.match(text) is not None and ".." not in text


def folded(text: str) -> str:
    """Return the form in which names are compared: case tells no two teams apart."""
    return text.lower()


def shown(text: str) -> str:
    """Return a name for people in one bounded line, with U+FFFD for what cannot be seen."""
    kept = str(cleaned(text))[:SHOWN_CHARACTERS_MAX]
    return one_line("".join(one if one.isprintable() else REPLACEMENT for one in kept), SHOWN_CHARACTERS_MAX).strip()


def is_member(text: str) -> bool:
    """Return whether a text can be a member's uid: printable ASCII without spaces."""
    return 0 < len(text) <= MEMBER_CHARACTERS_MAX and text.isascii() and text.isprintable() and " " not in text
