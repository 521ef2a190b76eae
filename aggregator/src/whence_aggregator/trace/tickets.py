"""Tickets in commit messages, by the application's patterns, or by well-known forms if it has none. Pure.

A pattern is plain text with `{number}`, and optionally `{project}`: regular expressions are not accepted.
"""

from __future__ import annotations

import functools
import itertools
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from whence_aggregator.trace.ticket_forms import (
    DIGIT,
    Mention,
    TicketPlace,
    branch_ticket,
    lines_of,
    merged_branches,
    reviews_by_form,
    tickets_by_form,
    tickets_by_link,
)
from whence_common.errors import InputError

PATTERNS_MAX = 20
TICKETS_MAX = 50
MESSAGE_CHARACTERS_MAX = 64 * 1024
_PATTERN = re.compile(r"(?=.*\{number\})[A-Za-z0-9_./#:{}-]{1,100}\Z")
_WORD = re.compile(r"[A-Za-z0-9_./#:-]+")
_GUARDS = re.compile(r"[./#:-]")
"""Characters of words at which tickets begin and end: a word has at most as many parts as pairs of those."""
_WORDS_MAX = 2_000
_PARTS_MAX = 20_000
_LINE_CHARACTERS_MAX = 1_000
_WORD_CHARACTERS_MAX = 150
"""Longer than any match of a pattern with a project and a number."""
_AFTER_NUMBER = re.compile(r"(?<=[0-9])[-_](?=[^0-9])")
_READ_KEPT_MAX = 256
_SHORT_KEPT_MAX, _SHORT_CHARACTERS_MAX = 4_096, 2_000
"""Usual messages: all of a range with a thousand commits, whose differences are asked for again and again."""
_OWN_MERGE = re.compile(
    r"(?:Merge pull request [A-Za-z0-9_./~-]*#|Merged in .{1,300} \(pull request #|Pull request #|Merged PR )[0-9]+"
)


class TicketPatternInvalid(InputError):
    """The text is not a ticket pattern."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The tickets and reviews that a commit message names."""

    tickets: tuple[Mention, ...]
    reviews: tuple[Mention, ...]


def check_pattern(pattern: str) -> None:
    """Raise TicketPatternInvalid unless the text is a valid pattern."""
    rest = pattern.replace("{number}", "", 1).replace("{project}", "", 1)
    if not _PATTERN.match(pattern) or "{" in rest or "}" in rest:
        raise TicketPatternInvalid(
            "ticket-pattern-invalid", f"{pattern[:100]!r} is not a ticket pattern", fix="write it like PAY-{number}"
        )


def named_in(message: str, patterns: tuple[str, ...] = ()) -> Named:
    """Return the tickets and reviews that a message names, in order, each once.

    An application's own patterns match anywhere, except in the title that a server generated for a merge, where they
    match what words follow too, as in the branch `feature/PAY-7-pay`. Without
    patterns the well-known forms count, each at its place.
    """
    message = message[:MESSAGE_CHARACTERS_MAX]
    return (_in_short if len(message) <= _SHORT_CHARACTERS_MAX else _in_long)(message, patterns)


def _named_in(message: str, patterns: tuple[str, ...]) -> Named:
    message = message.removeprefix("\ufeff")  # some Windows editors write a byte order mark
    reviews = tuple(reviews_by_form(message))
    named = _each_once(_indexed(message, patterns) if patterns else tickets_by_form(message, reviews))
    taken = {one.id for one in named}
    return Named(tickets=named, reviews=_each_once(one for one in reviews if one.id not in taken))


_in_short = functools.lru_cache(maxsize=_SHORT_KEPT_MAX)(_named_in)
_in_long = functools.lru_cache(maxsize=_READ_KEPT_MAX)(_named_in)


@functools.lru_cache(maxsize=_READ_KEPT_MAX)
def named_in_review(title: str, text: str, branch: str, patterns: tuple[str, ...] = ()) -> tuple[Mention, ...]:
    """Return the tickets that a review's title, branch, text and links name, in this order, each once."""
    text = text[:MESSAGE_CHARACTERS_MAX]
    mentions = [*_placed(named_in(title, patterns), "review-title")]
    if patterns:
        mentions += _in_branch(branch, patterns)
    else:
        mentions += branch_ticket(branch)
    # the first line of a text is no subject: below a blank line, only the forms of bodies and trailers count
    body = named_in(f"\n\n{text}", patterns)
    mentions += (replace(one, line=max(one.line - 2, 1)) for one in _placed(body, "review-text"))
    if not patterns:
        mentions += tickets_by_link(text)
    return _each_once(mentions)


def parts_of_branch(branch: str) -> tuple[str, ...]:
    """Return a branch and its parts that can be tickets: words follow a ticket in it, as in `feature/PAY-7-pay`."""
    branch = branch[:_LINE_CHARACTERS_MAX]
    return tuple(dict.fromkeys((branch, *_AFTER_NUMBER.split(branch))))


def _in_branch(branch: str, patterns: tuple[str, ...]) -> Iterable[Mention]:
    return (replace(one, place="branch") for part in parts_of_branch(branch) for one in _by_pattern(part, patterns))


def _placed(named: Named, place: TicketPlace) -> Iterable[Mention]:
    """Return tickets of a review's text with their place; those that a URL names are links."""
    return (replace(one, place="review-link" if one.host else place) for one in named.tickets)


def words_of(message: str) -> tuple[str, ...]:
    """Return the words that index a commit by ticket: every text that any pattern can match in it.

    A pattern matches only between the characters that `_compiled` guards, so each match is one of these words.
    """
    message = message[:MESSAGE_CHARACTERS_MAX]
    found: dict[str, None] = {one.id: None for one in named_in(message).tickets}
    parts = itertools.chain.from_iterable(map(_between_guards, _words_with_digits(message)))
    for word in itertools.islice(parts, _PARTS_MAX):
        found[word] = None
        if len(found) >= _WORDS_MAX:
            break
    return tuple(found)


def _words_with_digits(message: str) -> Iterable[str]:
    """Return the words with a digit, first those of branches that the subject names as merged.

    Most lines have none, and no word spans lines.
    """
    branches = [part for one in merged_branches(message.partition("\n")[0]) for part in parts_of_branch(one)]
    lines = (line for line in (*branches, *message.split("\n")) if DIGIT.search(line) is not None)
    words = itertools.chain.from_iterable(map(_WORD.findall, lines))
    return (word for word in words if DIGIT.search(word) is not None)


def _between_guards(word: str) -> Iterable[str]:
    """Return the parts of a word with a digit in them that begin and end where a ticket can.

    Only places where one can begin, has its digit and can end are looked at: a word may be a whole message.
    """
    digits = [place for place, character in enumerate(word) if character.isdigit()]
    starts = [place for place in range(len(word)) if place == 0 or not _is_word_character(word[place - 1])]
    ends = [
        place
        for place in range(1, len(word) + 1)
        if place == len(word) or not (_is_word_character(word[place]) or word[place] == "-")
    ]
    for start in starts:
        digit = bisect_left(digits, start)
        if digit == len(digits):
            return
        first = bisect_left(ends, digits[digit] + 1)
        for end in ends[first : bisect_right(ends, start + _WORD_CHARACTERS_MAX)]:
            yield word[start:end]


def _is_word_character(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


def _by_pattern(message: str, patterns: Sequence[str]) -> Iterable[Mention]:
    compiled = [(pattern, re.compile(_compiled(pattern))) for pattern in patterns]
    for number, place, line in lines_of(message):
        own = [match.span() for match in _OWN_MERGE.finditer(line)]
        found = [
            (match.start(), match[0], pattern)
            for pattern, expression in compiled
            for match in expression.finditer(line)
        ]
        for start, name, pattern in sorted(found):
            if not any(first <= start < past for first, past in own):
                yield Mention(id=name, pattern=pattern, place=place, line=number)
        for branch in merged_branches(line) if number == 1 else ():
            yield from (replace(one, place=place) for one in _in_branch(branch, tuple(patterns)))


def _indexed(message: str, patterns: Sequence[str]) -> Iterable[Mention]:
    """Return what the patterns match of the words that index the message, which are long to find in a long message."""
    found = list(_by_pattern(message, patterns))
    if not found or _indexes_every_part(message):
        return found
    words = frozenset(words_of(message))
    return (one for one in found if one.id in words)


def _indexes_every_part(message: str) -> bool:
    """Return whether no bound keeps a part of a usual message out of its index: then each match is one of its words."""
    if any(len(line) > _LINE_CHARACTERS_MAX for line in message.split("\n")):
        return False  # the patterns see the start of a line, and the index all of it
    parts = sum((1 + len(_GUARDS.findall(word))) ** 2 for word in _words_with_digits(message))
    return parts <= _WORDS_MAX - TICKETS_MAX


def _each_once(mentions: Iterable[Mention]) -> tuple[Mention, ...]:
    found: dict[str, Mention] = {}
    for one in mentions:
        if one.id not in found and len(found) < TICKETS_MAX:
            found[one.id] = one
    return tuple(found.values())


def _compiled(pattern: str) -> str:
    text = re.escape(pattern)
    text = text.replace(re.escape("{number}"), "[0-9]{1,12}").replace(re.escape("{project}"), "[A-Z][A-Z0-9]{1,15}")
    return rf"(?<![A-Za-z0-9_]){text}(?![A-Za-z0-9_-])"
