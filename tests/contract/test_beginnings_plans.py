"""Keys are found by their beginnings in ranges of indexes, on SQLite and PostgreSQL: no query reads a table, or sorts."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ports import Database, R, T
from whence_aggregator.queries.query import BoundQueries, BoundQuery
from whence_aggregator.storage import named_queries
from whence_aggregator.storage.measured import Measurable, MeasuredDatabase
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.trace.beginnings import Beginnings

Plans = Mapping[str, set[str]]
DIGEST, INSTANCE = "sha256:0f3947dc", "i-0123"
_OTHER_PLANS = ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin")
"""What PostgreSQL prefers for tables as small as these."""
_IN_RANGE = re.compile(r"SEARCH (\w+) USING .*\((\w+)>\? AND \2<\?\)")
_BY_KEY = re.compile(r"SEARCH (\w+) USING .*\(\w+=\?\)(?: LEFT-JOIN)?")
_NO_TABLE = re.compile(
    r"SCAN (?:CONSTANT ROW|found)|(?:CORRELATED )?SCALAR SUBQUERY \d+|CO-ROUTINE found|SETUP|RECURSIVE STEP"
)
_FROM_TO = re.compile(r"\((\w+) >=? .+ AND \(\1 <=? .+")
_EQUAL = re.compile(r"\(\w+ = \w+\.\w+\)")


class Asked(MeasuredDatabase):
    """A database that notes what it is asked."""

    def __init__(self, database: Measurable) -> None:
        super().__init__(database)
        self.queries: list[BoundQuery[Any]] = []

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]:
        self.queries.append(asked)
        return await super().fetch(asked)

    async def fetch_all(self, asked: BoundQueries[T], *, brief: bool = False) -> T:
        self.queries += asked.queries
        return await super().fetch_all(asked, brief=brief)


def sqlite_plan(path: Path, asked: BoundQuery[Any]) -> set[str]:
    """Return how SQLite reads each table: `TABLE by COLUMN from to`, `TABLE by key`, or its own words."""
    with closing(sqlite3.connect(path)) as connection:
        sql = f"explain query plan {named_queries.load('sqlite')[asked.name]}"
        steps = [detail for *_, detail in connection.execute(sql, dict(asked.parameters))]
    return {_step(one) for one in steps if not _NO_TABLE.fullmatch(one)}


def _step(detail: str) -> str:
    if found := _IN_RANGE.fullmatch(detail):
        return f"{found[1]} by {found[2]} from to"
    found = _BY_KEY.fullmatch(detail)
    return f"{found[1]} by key" if found else detail


async def postgres_plan(database: PostgresDatabase, asked: BoundQuery[Any]) -> set[str]:
    """Return how PostgreSQL reads each table if it has to use indexes, in the same words.

    An incremental sort is left out: it orders rows that have one key in an index, and reads no further ones.
    """
    query = named_queries.numbered("postgres")[asked.name]
    async with database.pool.acquire() as connection, connection.transaction():
        for one in _OTHER_PLANS:
            await connection.execute(f"set local enable_{one} = off")
        values = [asked.parameters[name] for name in query.parameters]
        (plan,) = json.loads(await connection.fetchval(f"explain (format json) {query.sql}", *values))
    return {_node(one) for one in _nodes(plan["Plan"]) if "Relation Name" in one or one["Node Type"] == "Sort"}


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for one in node.get("Plans", ()):
        yield from _nodes(one)


def _node(node: Mapping[str, Any]) -> str:
    condition = str(node.get("Index Cond", ""))
    if "Filter" not in node and (found := _FROM_TO.search(condition)):
        return f"{node['Alias']} by {found[1]} from to"
    if "Filter" not in node and _EQUAL.fullmatch(condition):
        return f"{node['Alias']} by key"
    return f"{node['Node Type']} on {node.get('Relation Name')}: {condition}, {node.get('Filter')}"


async def plans(database: Any, path: Path, beginning: str) -> Plans:
    """Find a beginning; return the plan of each query that this asked."""
    asked = Asked(database)
    await Beginnings(database=asked, log=LogReader(asked)).find(beginning, limit=10)
    found = {}
    for one in asked.queries:
        in_postgres = isinstance(database, PostgresDatabase)
        found[one.name] = await postgres_plan(database, one) if in_postgres else sqlite_plan(path, one)
    return found


async def test_the_beginning_of_a_digest_is_a_range_of_an_index_in_every_query(
    database: Database, tmp_path: Path
) -> None:
    assert await plans(database, tmp_path / "ledger.db", DIGEST) == {
        "images_beginning": {"facets by image_digest from to"},
        "sidecars_beginning": {"facets_image by image_digest from to"},
        "pushed_beginning": {"image_manifest by digest from to"},
        "layers_beginning": {"image_layer by layer from to"},
        "user_data_beginning": {"facets by user_data_digest from to"},
        "entries_beginning": {"e by digest_head from to", "b by key"},
    }


async def test_the_beginning_of_an_instance_id_is_a_range_of_an_index(database: Database, tmp_path: Path) -> None:
    assert await plans(database, tmp_path / "ledger.db", INSTANCE) == {
        "instances_beginning": {"instance by instance_id from to"}
    }


@pytest.mark.parametrize("name", ["last_clock", "prunable", "clock_range"])
async def test_a_query_that_reads_more_than_a_range_is_told_apart(
    database: Database, tmp_path: Path, name: str
) -> None:
    """The plans of the tests above would show it."""
    parameters: dict[str, dict[str, object]] = {
        "last_clock": {},
        "prunable": {"kinds": ["statement"], "first": 0, "past": 1, "limit": 1},
        "clock_range": {"since": 0, "until": 1},
    }
    asked: BoundQuery[Any] = BoundQuery(name, parameters[name])
    if isinstance(database, PostgresDatabase):
        found = await postgres_plan(database, asked)
    else:
        encoded = {key: json.dumps(value) if key == "kinds" else value for key, value in asked.parameters.items()}
        found = sqlite_plan(tmp_path / "ledger.db", BoundQuery(name, encoded))
    assert any(not one.endswith((" from to", " by key")) for one in found), found
