"""Statements that PostgreSQL runs in one round trip: several inserts, or several queries, combined.

Parameters of combined queries are renumbered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from whence_aggregator.queries.query import Parameters
from whence_aggregator.storage.named_queries import NumberedQuery
from whence_aggregator.storage.tables import Row

SEQUENCER_LOCK = 0x5748454E4345
"""The key of the advisory lock: `WHENCE` in ASCII."""
LOCK = f"select pg_advisory_xact_lock({SEQUENCER_LOCK})"
_NUMBER = re.compile(r"\$([0-9]+)")
_ROWS = msgspec.json.Decoder(list[dict[str, Any]])


def inserts_together(batches: Sequence[NumberedQuery], *, lock: bool) -> str:
    """Return one statement for several inserts; the parameters of each follow those of the one before.

    Each insert selects from `sequencer`, which returns its one row only when it has the lock.
    """
    parts = [f"sequencer as materialized ({LOCK if lock else 'select'})"]
    first = 0
    for batch in batches:
        parts.append(f"w{len(parts)} as ({_moved(batch.sql, first)})")
        first += len(batch.parameters)
    return f"with {', '.join(parts)} select 1"


def queries_together(queries: Sequence[NumberedQuery]) -> str:
    """Return one statement for several queries: its one row contains the rows of each as a JSON array."""
    parts, first = [], 0
    for query in queries:
        parts.append(f"(select coalesce(json_agg(r), '[]') from ({_moved(query.sql, first)}) as r)")  # noqa: S608 - our own
        first += len(query.parameters)
    return f"select {', '.join(parts)}"


async def octets_of(connection: Any, sql: str) -> Sequence[str]:
    """Return the columns of a query that contain bytes; in JSON they are hex digits."""
    return [one.name for one in (await connection.prepare(sql)).get_attributes() if one.type.name == "bytea"]


def rows_of(text: str, octets: Sequence[str]) -> Sequence[Row]:
    rows: list[dict[str, Any]] = _ROWS.decode(text)
    for row in rows:
        for name in octets:
            if row[name] is not None:
                row[name] = bytes.fromhex(row[name][2:])
    return rows


def _moved(sql: str, by: int) -> str:
    """Return a query with its parameters renumbered, so that they follow those of others."""
    return _NUMBER.sub(lambda match: f"${int(match[1]) + by}", sql)


def columns_of(batch: NumberedQuery, rows: Sequence[Parameters]) -> list[list[object]]:
    return [[row[name] for row in rows] for name in batch.parameters]


def values_of(query: NumberedQuery, parameters: Parameters) -> list[object]:
    return [
        msgspec.json.decode(str(parameters[name])) if name in query.arrays else parameters[name]
        for name in query.parameters
    ]
