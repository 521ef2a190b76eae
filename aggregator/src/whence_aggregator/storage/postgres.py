"""PostgreSQL by asyncpg: many replicas may read; one at a time writes, by an advisory lock held for the transaction."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import msgspec

from whence_aggregator.ports import Asked, Parameters, Row, StorageUnavailable, Write
from whence_aggregator.storage import named_queries
from whence_aggregator.storage.named_queries import NumberedQuery

_SEQUENCER_LOCK = 0x5748454E4345
"""The key of the advisory lock: `WHENCE` in ASCII."""
_BEGIN = "begin; set local plan_cache_mode = auto"
_CONNECTIONS_MAX = 8
_COMMAND_SECONDS_MAX = 30.0
_TABLE = re.compile(r"insert into ([a-z_]+)\s")
_NUMBER = re.compile(r"\$([0-9]+)")
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class PostgresDatabase:
    """A database behind a DSN. Made by `open`; `close` it."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.queries = named_queries.load("postgres")
        self.numbered = named_queries.numbered(self.queries)
        self.many = named_queries.many_rows(self.queries)
        self.batches: dict[str, NumberedQuery] = {}
        self.together: dict[tuple[str, ...], str] = {}
        """Statements that run several queries at once, by the names of those."""
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, dsn: str) -> PostgresDatabase:
        """Connect and migrate. Raises StorageUnavailable; its message never holds the DSN."""
        try:
            pool = await asyncpg.create_pool(
                dsn, min_size=1, max_size=_CONNECTIONS_MAX, command_timeout=_COMMAND_SECONDS_MAX,
                init=_prepare, reset=_keep,
            )  # fmt: skip
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
        async with self._writing, self._begun(f"{_BEGIN}; select pg_advisory_xact_lock({_SEQUENCER_LOCK})") as begun:
            yield begun

    async def write(self, *writes: Write) -> None:
        async with self._begun(_BEGIN) as begun:
            await begun.execute(*writes)

    @asynccontextmanager
    async def _begun(self, sql: str) -> AsyncIterator[_PostgresTransaction]:
        try:
            async with self.pool.acquire() as connection:
                await connection.execute(sql)
                try:
                    yield _PostgresTransaction(connection, self)
                except BaseException:
                    with suppress(*_FAILURES):
                        await connection.execute("rollback")
                    raise
                await connection.execute("commit")
        except _FAILURES as exc:
            raise _unavailable(exc) from exc

    async def fetch(self, query: str, parameters: Parameters) -> Sequence[Row]:
        numbered = self.numbered[query]
        try:
            found: Sequence[Row] = await self.pool.fetch(numbered.sql, *_values(numbered, parameters))
        except _FAILURES as exc:
            raise _unavailable(exc) from exc
        return found

    async def fetch_all(self, asked: Sequence[Asked], *, brief: bool = False) -> list[Sequence[Row]]:
        if len(asked) == 1:
            return [await self.fetch(*asked[0])]
        try:
            async with (
                self.pool.acquire() as connection,
                connection.transaction(isolation="repeatable_read", readonly=True),
            ):
                return [await _fetch(connection, self.numbered[query], parameters) for query, parameters in asked]
        except _FAILURES as exc:
            raise _unavailable(exc) from exc


class _PostgresTransaction:
    def __init__(self, connection: Any, database: PostgresDatabase) -> None:
        self._connection = connection
        self._database = database

    async def fetch(self, query: str, parameters: Parameters) -> Sequence[Row]:
        return await _fetch(self._connection, self._database.numbered[query], parameters)

    async def fetch_all(self, asked: Sequence[Asked]) -> list[Sequence[Row]]:
        return [await self.fetch(query, parameters) for query, parameters in asked]

    async def execute(self, *writes: Write) -> None:
        for query, rows in writes:
            if len(rows) == 1:
                numbered = self._database.numbered[query]
                await self._connection.execute(numbered.sql, *_values(numbered, rows[0]))
            elif rows and query in self._database.many:
                batch = await self._batch(query)
                columns = [[row[name] for row in rows] for name in batch.parameters]
                await self._connection.execute(batch.sql, *columns)
            elif rows:
                numbered = self._database.numbered[query]
                await self._connection.executemany(numbered.sql, [_values(numbered, row) for row in rows])

    async def finish(self, *writes: Write) -> None:
        """Run what inserts rows, each query into a table of its own, as one statement: one round trip, not eight."""
        together: list[Write] = []
        tables: set[str] = set()
        for query, rows in writes:
            table = _TABLE.match(self._database.many[query].before) if query in self._database.many else None
            if not rows:
                continue
            if table is None or table[1] in tables:
                await self.execute((query, rows))
            else:
                tables.add(table[1])
                together.append((query, rows))
        if len(together) > 1:
            await self._insert_together(together)
        else:
            await self.execute(*together)

    async def _insert_together(self, writes: Sequence[Write]) -> None:
        batches = [await self._batch(query) for query, _ in writes]
        columns = [
            [row[name] for row in rows]
            for (_, rows), batch in zip(writes, batches, strict=True)
            for name in batch.parameters
        ]
        names = tuple(query for query, _ in writes)
        sql = self._database.together.get(names)
        if sql is None:
            sql = self._database.together[names] = _together(batches)
        await self._connection.execute(sql, *columns)

    async def _batch(self, query: str) -> NumberedQuery:
        """Give a query that takes each parameter as an array: one round trip for all rows."""
        known = self._database.batches.get(query)
        if known is None:
            many = self._database.many[query]
            single = self._database.numbered[query]
            types = {
                name: type_.name
                for name, type_ in zip(
                    single.parameters, (await self._connection.prepare(single.sql)).get_parameters(), strict=True
                )
            }
            arrays = ", ".join(f"${n + 1}::{types[name]}[]" for n, name in enumerate(many.parameters))
            sql = f"{many.before}select * from unnest({arrays}){many.after}"  # noqa: S608 - our own queries
            known = NumberedQuery(sql, many.parameters)
            self._database.batches[query] = known
        return known


async def _fetch(connection: Any, numbered: NumberedQuery, parameters: Parameters) -> Sequence[Row]:
    found: Sequence[Row] = await connection.fetch(numbered.sql, *_values(numbered, parameters))
    return found


def _together(batches: Sequence[NumberedQuery]) -> str:
    """Make one statement of several; the parameters of each follow those of the one before."""
    parts: list[str] = []
    first = 0
    for batch in batches:
        moved = _NUMBER.sub(lambda match, first=first: f"${int(match[1]) + first}", batch.sql)  # type: ignore[misc]
        parts.append(f"w{len(parts)} as ({moved})")
        first += len(batch.parameters)
    return f"with {', '.join(parts)} select 1"


async def _prepare(connection: Any) -> None:
    """Have look-ups planned for what they ask: filters may be null, and a plan for all of them joins whole tables."""
    await connection.execute("set plan_cache_mode = force_custom_plan")


async def _keep(connection: Any) -> None:
    """Leave a connection as it is when it goes back to the pool: nothing else is set for its session."""


async def _migrate(connection: Any) -> None:
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _SEQUENCER_LOCK)
        await connection.execute("create table if not exists migration (number bigint primary key)")
        version = int(await connection.fetchval("select coalesce(max(number), 0) from migration"))
        steps = named_queries.migrations("postgres")
        wrong = named_queries.check_version(version, steps)
        if wrong is not None:
            raise StorageUnavailable("storage-postgres", wrong)
        for number, sql in steps:
            if number > version:
                await connection.execute(sql)
                await connection.execute("insert into migration (number) values ($1)", number)


def _values(query: NumberedQuery, parameters: Parameters) -> list[object]:
    return [
        msgspec.json.decode(str(parameters[name])) if name in query.arrays else parameters[name]
        for name in query.parameters
    ]


def _unavailable(exc: BaseException) -> StorageUnavailable:
    return StorageUnavailable(
        "storage-postgres", f"PostgreSQL: {type(exc).__name__}", fix="see PostgreSQL's log and the connection settings"
    )
