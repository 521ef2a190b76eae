"""Indexes of facts that were recorded before there was an index of them, filled when the program starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from whence_aggregator.ports import Database
from whence_aggregator.projections.persons import persons_in
from whence_aggregator.projections.rows import UnindexedFact, fact_events
from whence_aggregator.projections.search_names import commits_in, names_in
from whence_aggregator.queries.collect import (
    ADD_COMMIT_PERSON,
    ADD_RANGE_COMMIT,
    ADD_REVIEW_NAME,
    COMMITS_WITHOUT_PERSON,
    RANGES_WITHOUT_COMMIT,
    REVIEWS_WITHOUT_NAME,
)
from whence_aggregator.queries.query import Command, NamedQuery

_FACTS_MAX = 500
_RANGES_MAX = 20
"""Of a transaction: each range has up to 4,000 commits."""
_Row = TypeVar("_Row", bound=Mapping[str, object])


class _Page(TypedDict):
    after: int
    limit: int


async def index_persons(database: Database) -> int:
    """Index the people of commits; return the number of addresses that were added."""
    return await _index(database, COMMITS_WITHOUT_PERSON, persons_in, ADD_COMMIT_PERSON, _FACTS_MAX)


async def index_reviews(database: Database) -> int:
    """Index the numbers of reviews and the people in them; return how many were added."""
    return await _index(database, REVIEWS_WITHOUT_NAME, names_in, ADD_REVIEW_NAME, _FACTS_MAX)


async def index_ranges(database: Database) -> int:
    """Index the commits that ranges contain; return how many were added."""
    return await _index(database, RANGES_WITHOUT_COMMIT, commits_in, ADD_RANGE_COMMIT, _RANGES_MAX)


async def index_facts(database: Database) -> None:
    """Fill all these indexes."""
    for index in (index_persons, index_reviews, index_ranges):
        await index(database)


async def _index(
    database: Database,
    unindexed: NamedQuery[_Page, UnindexedFact],
    rows_in: Callable[[Mapping[str, Any], int], Sequence[_Row]],
    add: Command[_Row],
    facts_max: int,
) -> int:
    """Index the facts that a query finds, so many in a transaction; return the number of rows that were added."""
    total, after = 0, -1
    while True:
        async with database.transaction() as transaction:
            found = fact_events(await transaction.fetch(unindexed.bind({"after": after, "limit": facts_max})))
            rows = [row for index, event in found for row in rows_in(event, index)]
            await transaction.execute(add.bind(rows))
        total += len(rows)
        if len(found) < facts_max:
            return total
        after = found[-1][0]
