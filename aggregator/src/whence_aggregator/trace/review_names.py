"""Names of reviews, as people and commit messages write them: `#12`, `!12`, `12`, `demo/greeter!12`, or a URL. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.trace.lineage import Lineage

_NAME = re.compile(r"(?P<path>[^#!]*)(?P<mark>[#!])(?P<number>[0-9]{1,12})\Z|(?P<bare>[0-9]{1,12})\Z")
_URL = re.compile(r"https?://\S*/(?P<number>[0-9]{1,12})\Z")


def words_of_review(name: str) -> list[str]:
    """Return the words that the index has for commits of a review: messages and code hosts name it differently."""
    match = _URL.match(name) or _NAME.match(name)
    if match is None:
        return [name]
    number = match[match.lastgroup or 0]
    return [number_word(number)] if match.groupdict().get("mark") == "#" else [number_word(number), number]


def number_word(number: object) -> str:
    """Return the word by which the index has a review that a code host stated."""
    return f"#{number}"


def has_review(lineage: Lineage, name: str) -> bool:
    """Return whether the commit came in by a review, as its code host states it, or names it in its message."""
    commit, review = lineage.link("commit").value or {}, lineage.link("review").value or {}
    named = [str(one["id"]) for one in (lineage.link("ticket").value or {}).get("reviews", ())]
    return names_review(name, str(commit.get("repository", "")), review.get("reviews", ()), named)


def names_review(name: str, repository: str, stated: Sequence[Mapping[str, Any]], named: Sequence[str]) -> bool:
    """Return whether a name is that of a review of `host/path`, which a code host states or a message names."""
    if name in named or any(one["url"] == name for one in stated):
        return True
    match = _NAME.match(name)
    if match is None:
        return False
    number, path, mark = match["bare"] or match["number"], match["path"] or "", match["mark"]
    here = path in ("", repository.partition("/")[2])
    if here and any(str(one["number"]) == number for one in stated):
        return True
    return any(
        (other["bare"] or other["number"]) == number
        and mark in (None, other["mark"])
        and (path in ("", other["path"]) or (here and not other["path"]))
        for other in filter(None, map(_NAME.match, named))
    )
