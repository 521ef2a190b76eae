"""The words by which a search finds applications, the same on every database: in what is written, and in a query. Pure.

A word is a run of letters and digits, without case and accents; a hyphen, a dot or a slash separates words. An English
word also counts by its stem. Kio used PostgreSQL's configuration `english`; SQLite's stemmer and ranks differ from it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

WEIGHTS: Mapping[str, int] = {"id": 1000, "name": 400, "subtitle": 200, "description": 100}
"""The scores of a hit by field: PostgreSQL's weights A to D in thousandths, as Kio assigned them."""
WORDS_MAX = 2_000
"""Words indexed for one application, those of the most important fields first."""
WORD_CHARACTERS_MAX = 64
QUERY_WORDS_MAX = 8
PREFIX_CHARACTERS_MIN = 3
"""Shorter words of a query match whole words only."""
_RUN = re.compile(r"[^\W_]+")
_LAST = "\U0010ffff"
"""Follows every other character in the order of code points."""
_EXACT, _PREFIX = 2, 1
SCORE_FACTOR = _EXACT
_VOWEL = re.compile(r"[aeiouy]")
_KNOWN_MAX = 20_000
_STOP = """
a an and are as at be been but by can did do does for from had has have how i if in into is it its no not of on or our s
so such t than that the their then there these they this to was we were what when where which who will with you your
"""
_STOP_WORDS = frozenset(_STOP.split())
"""Left out of a query if it has other words; indexed all the same, because ids contain them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryWord:
    """A word of a query: each must match a word of the application, as a whole, by its stem or as its beginning."""

    word: str
    stem: str

    def matches(self, word: str) -> bool:
        """Return whether a folded word of a text matches."""
        begins = len(self.word) >= PREFIX_CHARACTERS_MIN and word.startswith(self.word)
        return begins or self.word in (word, stem(word)) or self.stem in (word, stem(word))

    @property
    def ranges(self) -> list[tuple[str, str, int]]:
        """Return the ranges of indexed words that match, first and last, each with the factor of its score."""
        found = [(one, one, _EXACT) for one in dict.fromkeys((self.word, self.stem))]
        if len(self.word) >= PREFIX_CHARACTERS_MIN:
            found.append((self.word, self.word + _LAST, _PREFIX))
        return found


def runs(text: str) -> Iterator[re.Match[str]]:
    """Yield the runs of letters and digits of a text."""
    return _RUN.finditer(text)


def folded(run: str) -> list[str]:
    """Return the words of a run: without case and accents, in compatible characters."""
    bare = "".join(one for one in unicodedata.normalize("NFKD", run) if not unicodedata.combining(one))
    return [word[:WORD_CHARACTERS_MAX] for word in _RUN.findall(bare.casefold())]


@lru_cache(maxsize=_KNOWN_MAX)
def known_words(run: str) -> tuple[str, ...]:
    """Return the words of a run, cached: descriptions share most of theirs."""
    return tuple(folded(run[:WORD_CHARACTERS_MAX]))


def words_in(text: str) -> Iterator[str]:
    """Yield the words of a text, in order."""
    for run in runs(unicodedata.normalize("NFC", text)):
        yield from folded(run[0])


def query_words(text: str) -> list[QueryWord]:
    """Return the distinct words of a query, without stop words if there are others."""
    found = list(dict.fromkeys(words_in(text)))
    found = [word for word in found if word not in _STOP_WORDS] or found
    return [QueryWord(word=word, stem=stem(word)) for word in found]


def scores(fields: Mapping[str, str]) -> dict[str, int]:
    """Return the score of each word of an application, by the fields of WEIGHTS that contain it.

    A word that a field repeats counts for up to twice the field's weight.
    """
    total: dict[str, int] = {}
    for field, weight in WEIGHTS.items():
        counted: dict[str, int] = {}
        for word in words_in(fields.get(field, "")):
            for one in dict.fromkeys((word, stem(word))):
                counted[one] = counted.get(one, 0) + 1
        for one, times in counted.items():
            if one in total or len(total) < WORDS_MAX:
                total[one] = total.get(one, 0) + weight * 2 * times // (times + 1)
    return total


@lru_cache(maxsize=_KNOWN_MAX)
def stem(word: str) -> str:
    """Return an English word without its ending: plural, -ing, -ed, a final e. Other words are returned unchanged."""
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    bare = _singular(word)
    for ending in ("ing", "ed"):
        rest = bare.removesuffix(ending)
        if rest != bare and len(rest) >= 3 and _VOWEL.search(rest):
            bare = rest[:-1] if rest[-1] == rest[-2] and rest[-1] not in "lsz" else rest
            break
    return bare[:-1] if len(bare) > 3 and bare.endswith("e") else bare


def _singular(word: str) -> str:
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches", "shes", "zes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
