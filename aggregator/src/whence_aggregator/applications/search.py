"""Search for applications: what is asked of the index, and the excerpt of a description with the hits marked. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import islice

import msgspec

from whence_aggregator.projections.application_words import (
    QUERY_WORDS_MAX,
    SCORE_FACTOR,
    QueryWord,
    known_words,
    query_words,
    runs,
)
from whence_common.errors import InputError

SEARCH_CHARACTERS_MAX = 300
_BEFORE_MAX, _EXCERPT_MAX = 10, 35
"""Words of an excerpt before the first hit, and in total: `ts_headline` of Kio had 35 too."""
_SCANNED_MAX = 500
"""Words of a description in which the first hit is looked for; without one the excerpt is its beginning."""
_SCORE_UNIT = 1000 * SCORE_FACTOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """A query: each of its words must match. Without words nothing matches."""

    words: Sequence[QueryWord]
    whole: str
    """The query as an application's id: that application comes first."""
    known: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)
    """Whether the words of the descriptions that were shown so far match."""

    @classmethod
    def parse(cls, text: str) -> Sought:
        """Parse a query. Nothing in it is syntax. Raises InputError."""
        if len(text) > SEARCH_CHARACTERS_MAX:
            raise InputError("search-too-long", f"the search has more than {SEARCH_CHARACTERS_MAX} characters")
        words = query_words(text)
        if len(words) > QUERY_WORDS_MAX:
            raise InputError("search-too-long", f"the search has {len(words)} words, at most {QUERY_WORDS_MAX}")
        return cls(words=words, whole=text.strip().lower())

    @property
    def terms(self) -> str:
        """Return the ranges of indexed words that match, as the parameter of the query."""
        return msgspec.json.encode(
            [
                {"n": number, "low": low, "high": high, "factor": factor}
                for number, word in enumerate(self.words)
                for low, high, factor in word.ranges
            ]
        ).decode()

    def excerpt(self, text: str | None) -> str | None:
        """Return an excerpt of a description as HTML: escaped, with the hits in `<b>`. None without a description."""
        if text is None:
            return None
        text = unicodedata.normalize("NFC", text)
        found = list(islice(runs(text), _SCANNED_MAX))
        first = next((place for place, run in enumerate(found) if self._hits(run[0])), 0)
        begin = max(0, first - _BEFORE_MAX)
        shown = found[begin : begin + _EXCERPT_MAX]
        if not shown:
            return escape(text[:SEARCH_CHARACTERS_MAX])
        parts, at = list[str](), shown[0].start() if begin else 0
        for run in shown:
            word = escape(run[0])
            parts += [escape(text[at : run.start()]), f"<b>{word}</b>" if self._hits(run[0]) else word]
            at = run.end()
        rest = "" if begin + _EXCERPT_MAX < len(found) else escape(text[at : at + SEARCH_CHARACTERS_MAX])
        return ("".join(parts) + rest).strip()

    def _hits(self, run: str) -> bool:
        found = self.known.get(run)
        if found is None:
            found = any(word.matches(one) for one in known_words(run) for word in self.words)
            self.known[run] = found
        return found


def shown_rank(rank: int) -> float:
    """Return a rank as it is shown: 1 for a word of the id, 0.4 of the name, 0.2 of the subtitle, 0.1 of the rest."""
    return rank / _SCORE_UNIT
