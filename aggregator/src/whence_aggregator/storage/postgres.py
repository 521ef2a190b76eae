"""PostgreSQL by asyncpg: many replicas may read; one at a time writes, by an advisory lock held for the transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from whence_aggregator.ports import Parameters, Row, StorageUnavailable
from whence_aggregator.storage import named_queries
from whence_aggregator.storage.named_queries import NumberedQuery

_SEQUENCER_LOCK = 0x5748454E4345
"""The key of the advisory lock: `WHENCE` in ASCII."""
_CONNECTIONS_MAX = 8
_COMMAND_SECONDS_MAX = 30.0
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class PostgresDatabase:
    """A database behind a DSN. Made by `open`; `close` it."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self._queries = named_queries.numbered(named_queries.load("postgres"))
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, dsn: str) -> PostgresDatabase:
        """Connect and migrate. Raises StorageUnavailable; its message never holds the DSN."""
        try:
            pool = await asyncpg.create_pool(
                dsn, min_size=1, max_size=_CONNECTIONS_MAX, command_timeout=_COMMAND_SECONDS_MAX
            )
            async with pool.acquire() as connection:
                await _migrate(connection)
        except (*_FAILURES, ValueError) as exc:
            raise _unavailable(exc) from exc
        return cls(pool)

    async def close(self) -> None:
        """Close all connections once their work is done."""
        await self.pool.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_PostgresTransaction]:
        async with self._writing:
            try:
                async with self.pool.acquire() as connection, connection.transaction():
                    await connection.execute("select pg_advisory_xact_lock($1)", _SEQUENCER_LOCK)
                    yield _PostgresTransaction(connection, self._queries)
            except _FAILURES as exc:
                raise _unavailable(exc) from exc

    async def fetch(self, query: str, parameters: Parameters) -> Sequence[Row]:
        numbered = self._queries[query]
        try:
            found = await self.pool.fetch(numbered.sql, *_values(numbered, parameters))
        except _FAILURES as exc:
            raise _unavailable(exc) from exc
        return [dict(row) for row in found]


class _PostgresTransaction:
    def __init__(self, connection: Any, queries: dict[str, NumberedQuery]) -> None:
        self._connection = connection
        self._queries = queries

    async def fetch(self, query: str, parameters: Parameters) -> Sequence[Row]:
        numbered = self._queries[query]
        return [dict(row) for row in await self._connection.fetch(numbered.sql, *_values(numbered, parameters))]

    async def execute(self, query: str, rows: Sequence[Parameters]) -> None:
        if rows:
            numbered = self._queries[query]
            await self._connection.executemany(numbered.sql, [_values(numbered, row) for row in rows])


async def _migrate(connection: Any) -> None:
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _SEQUENCER_LOCK)
        await connection.execute("create table if not exists migration (number bigint primary key)")
        version = int(await connection.fetchval("select coalesce(max(number), 0) from migration"))
        for number, sql in named_queries.migrations("postgres"):
            if number > version:
                await connection.execute(sql)
                await connection.execute("insert into migration (number) values ($1)", number)


def _values(query: NumberedQuery, parameters: Parameters) -> list[object]:
    return [parameters[name] for name in query.parameters]


def _unavailable(exc: BaseException) -> StorageUnavailable:
    return StorageUnavailable(
        "storage-postgres", f"PostgreSQL: {type(exc).__name__}", fix="see PostgreSQL's log and the connection settings"
    )
