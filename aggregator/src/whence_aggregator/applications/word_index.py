"""The words of the applications of the present, in memory: what a search finds, by rank. Pure.

The scores and the order are those of the query `applications_ranked`, which answers for the past.
"""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping

from whence_aggregator.applications.rows import Hit, Indexable
from whence_aggregator.applications.search import Sought
from whence_aggregator.projections.application_words import QueryWord

_WHOLE_BONUS = 1_000_000
"""Added to the rank of the application whose id is the query, as in `applications_ranked`."""
_DEAD_MIN = 1_000


class WordIndex:
    """Finds applications by words. A changed application takes a new slot, and the old one is dead."""

    def __init__(self) -> None:
        self._slots: list[Indexable] = []
        self._dead: set[int] = set()
        self._by_id: dict[str, int] = {}
        self._postings: dict[str, tuple[array[int], array[int]]] = {}
        """Slots and scores by word."""
        self._vocabulary: list[str] | None = []
        """All words in order; None if words were added since."""

    def __len__(self) -> int:
        return len(self._by_id)

    def put(self, application: Indexable, words: Mapping[str, int]) -> None:
        """Add an application, or replace it."""
        before = self._by_id.get(application.application_id)
        if before is not None:
            self._dead.add(before)
        slot = self._by_id[application.application_id] = len(self._slots)
        self._slots.append(application)
        for word, score in words.items():
            found = self._postings.get(word)
            if found is None:
                found = self._postings[word] = array("I"), array("I")
                self._vocabulary = None
            found[0].append(slot)
            found[1].append(score)
        if len(self._dead) > max(_DEAD_MIN, len(self._by_id)):
            self._compact()

    def find(
        self, sought: Sought, wanted: Callable[[Indexable], bool] | None, *, after: Hit | None, limit: int
    ) -> list[Hit]:
        """Return up to `limit` hits after another, by rank and then by id; `wanted` None: all pass."""
        ranks = self._ranks(sought.words)
        for dead in self._dead:
            ranks.pop(dead, None)
        bonus = self._by_id.get(sought.whole)
        if bonus in ranks:
            ranks[bonus] += _WHOLE_BONUS
        slots = self._slots
        if wanted is not None:
            found = [(-rank, slots[slot].application_id) for slot, rank in ranks.items() if wanted(slots[slot])]
        else:
            lowest = min(heapq.nlargest(limit, ranks.values()), default=0) if after is None else 0
            found = [(-rank, slots[slot].application_id) for slot, rank in ranks.items() if rank >= lowest]
        if after is not None:
            place = (-after.rank, after.application_id)
            found = [one for one in found if one > place]
        return [Hit(application_id=name, rank=-rank) for rank, name in heapq.nsmallest(limit, found)]

    def _ranks(self, words: Iterable[QueryWord]) -> dict[int, int]:
        """Return the ranks of the slots in which every word matches."""
        matches = (self._matches(word) for word in words)
        total = next(matches, {})
        for best in matches:
            total = {slot: rank + best[slot] for slot, rank in total.items() if slot in best}
        return total

    def _matches(self, word: QueryWord) -> dict[int, int]:
        """Return the best score of each slot that a word of the query matches."""
        best: dict[int, int] = {}
        for low, high, factor in word.ranges:
            for one in (low,) if low == high else self._between(low, high):
                slots, scores = self._postings.get(one, ((), ()))
                if not best:
                    best = dict(zip(slots, map(factor.__mul__, scores), strict=True))
                    continue
                for slot, score in zip(slots, scores, strict=True):
                    if score * factor > best.get(slot, 0):
                        best[slot] = score * factor
        return best

    def _between(self, low: str, high: str) -> list[str]:
        """Return the words after `low`, which an exact range has, up to `high`."""
        if self._vocabulary is None:
            self._vocabulary = sorted(self._postings)
        return self._vocabulary[bisect_right(self._vocabulary, low) : bisect_right(self._vocabulary, high)]

    def _compact(self) -> None:
        """Remove dead slots."""
        moved = {old: new for new, old in enumerate(self._by_id.values())}
        self._slots, self._dead = [self._slots[old] for old in moved], set()
        self._by_id = {name: moved[old] for name, old in self._by_id.items()}
        kept: dict[str, tuple[array[int], array[int]]] = {}
        for word, (slots, scores) in self._postings.items():
            pairs = [(moved[slot], score) for slot, score in zip(slots, scores, strict=True) if slot in moved]
            if pairs:
                kept[word] = array("I", [slot for slot, _ in pairs]), array("I", [score for _, score in pairs])
        self._postings, self._vocabulary = kept, None
