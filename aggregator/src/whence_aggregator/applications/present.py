"""Keeps the words of the present in memory: before each search, what was recorded since is read."""

from __future__ import annotations

import asyncio

from whence_aggregator.applications.rows import Indexable, begun_spans, words_by_application
from whence_aggregator.applications.word_index import WordIndex
from whence_aggregator.ports import Database
from whence_aggregator.queries.applications import APPLICATION_WORDS_OF, APPLICATIONS_BEGUN
from whence_aggregator.queries.query import array

_READ_MAX = 100
"""Applications read at once: their words are some thousand rows, which take 20 ms of the event loop."""


class PresentWords:
    """The index, as of the newest entry that was recorded when it was asked for; the first time reads everything."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._index = WordIndex()
        self._seen = -1
        self._reading = asyncio.Lock()

    async def current(self) -> WordIndex:
        """Return the index with all that is recorded now, by this or another replica."""
        async with self._reading:
            while True:
                asked = APPLICATIONS_BEGUN.bind({"after": self._seen, "limit": _READ_MAX})
                spans = begun_spans(await self._database.fetch(asked))
                if spans:
                    await self._read(spans)
                if len(spans) < _READ_MAX:
                    return self._index

    async def _read(self, spans: list[tuple[int, Indexable]]) -> None:
        names = array([one.application_id for _, one in spans])
        rows = await self._database.fetch(APPLICATION_WORDS_OF.bind({"application_ids": names}))
        words = words_by_application(rows)
        for index, one in spans:
            self._index.put(one, words.get(one.application_id, {}))
            self._seen = index
