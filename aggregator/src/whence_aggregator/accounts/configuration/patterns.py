"""PATTERN: shell patterns over the names of accounts. A regular expression is refused with the shell form to write."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from whence_aggregator.accounts.configuration.shell_forms import shell_forms
from whence_common.errors import InputError, one_line

PATTERNS_MAX = 1000
PATTERN_CHARACTERS_MAX = 200
_NEAR_MAX = 5
_REGULAR = re.compile(r"\.[*+?{]|[\\^$|(){}+]")
"""What shell patterns do not have; `*`, `?` and `[…]` are in both."""

_WARNED = re.compile(r"\[\[|--|&&|~~|\|\|")
"""Python warns of these within brackets; they are not compiled."""


def select(names: Sequence[str], patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the names that a pattern matches as a whole, in the order of `names`; all names without a pattern.

    `*` is any text, `?` one character, `[ab]` one of them and `[!ab]` one other. Raises InputError for a pattern that
    matches nothing, or that only a regular expression would be.
    """
    if not patterns:
        return tuple(names)
    if len(patterns) > PATTERNS_MAX:
        raise InputError("pattern-too-many", f"more than {PATTERNS_MAX} patterns", fix="write a pattern with *")
    known = set(names)
    chosen: set[str] = set()
    for pattern in patterns:
        found = _matches(names, known, pattern)
        if not found:
            raise _refused(names, pattern)
        chosen |= found
    return tuple(name for name in names if name in chosen)


def _matches(names: Sequence[str], known: set[str], pattern: str) -> set[str]:
    if len(pattern) > PATTERN_CHARACTERS_MAX:
        message = f"a pattern has more than {PATTERN_CHARACTERS_MAX} characters"
        raise InputError("pattern-too-long", message, fix="write several shorter ones")
    if pattern in known:
        return {pattern}
    return {name for name in names if fnmatchcase(name, pattern)}


def _refused(names: Sequence[str], pattern: str) -> InputError:
    shown = one_line(pattern, 80)
    if _is_regular(pattern):
        forms = shell_forms(pattern)
        quoted = " ".join(f"'{form}'" for form in forms)
        fix = f"write {quoted}" if forms else "write the names of the accounts, or shell patterns with * and ?"
        message = f"the pattern {shown} is a regular expression; patterns are shell patterns"
        return InputError("pattern-regular-expression", message, fix=fix)
    near = difflib.get_close_matches(pattern, names, n=_NEAR_MAX, cutoff=0.5)
    few = list(names)[:_NEAR_MAX]
    more = f" and {len(names) - len(few)} more" if len(names) > len(few) else ""
    fix = f"did you mean {', '.join(near)}?" if near else f"the accounts are: {', '.join(few)}{more}"
    return InputError(
        "pattern-matches-nothing", f"no account matches the pattern {shown}",
        fix=fix if names else "the configuration has no accounts",
    )  # fmt: skip


def _is_regular(pattern: str) -> bool:
    if not _REGULAR.search(pattern) or _WARNED.search(pattern):
        return False
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True
