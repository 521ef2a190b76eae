"""Order of Debian package versions: `epoch:upstream-revision`, as dpkg compares them. Pure.

Source of the order: deb-version(7). Digits compare as numbers; a tilde sorts before everything, even the end of a part;
letters sort before all other characters.
"""

from __future__ import annotations

import re
from itertools import zip_longest

VERSION_CHARACTERS_MAX = 256
_EPOCH = re.compile(r"[0-9]{1,9}\Z")
_UPSTREAM = re.compile(r"[0-9][A-Za-z0-9.+~:-]*\Z")
_REVISION = re.compile(r"[A-Za-z0-9.+~]+\Z")
_RUNS = re.compile(r"([^0-9]*)([0-9]*)")


def is_debian_version(text: str) -> bool:
    """Return whether dpkg accepts a text as a version."""
    epoch, colon, _ = text.partition(":")
    if len(text) > VERSION_CHARACTERS_MAX or (colon and _EPOCH.match(epoch) is None):
        return False
    _, upstream, revision = _parts(text)
    return _UPSTREAM.match(upstream) is not None and (revision is None or _REVISION.match(revision) is not None)


def compare_debian_versions(one: str, other: str) -> int:
    """Return a negative number if `one` is older than `other`, zero if they are equal, else a positive number.

    Both must be versions by `is_debian_version`.
    """
    (first, upstream, revision), (second, other_upstream, other_revision) = _parts(one), _parts(other)
    return (
        (first > second) - (first < second)
        or _compare(upstream, other_upstream)
        or _compare(revision or "", other_revision or "")
    )


def _parts(text: str) -> tuple[int, str, str | None]:
    epoch, colon, rest = text.partition(":")
    if not colon:
        epoch, rest = "0", text
    upstream, dash, revision = rest.rpartition("-")
    return int(epoch), upstream if dash else rest, revision if dash else None


def _compare(one: str, other: str) -> int:
    """Compare two parts: in turn a run of other characters, and a run of digits; a missing run is empty, or zero."""
    for (text, digits), (other_text, other_digits) in zip_longest(
        _RUNS.findall(one), _RUNS.findall(other), fillvalue=("", "")
    ):
        ordered = _order(text), _order(other_text)
        numbers = int(digits or 0), int(other_digits or 0)
        for left, right in (ordered, numbers):
            if left != right:
                return -1 if left < right else 1  # type: ignore[operator]  # both are lists, or both are numbers
    return 0


def _order(text: str) -> list[int]:
    """Return the weights of characters, closed by that of the end, which is heavier than a tilde alone."""
    return [-1 if one == "~" else ord(one) if one.isalpha() else ord(one) + 256 for one in text] + [0]
