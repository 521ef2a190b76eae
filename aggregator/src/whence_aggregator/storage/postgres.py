"""PostgreSQL by asyncpg: many replicas may read; one at a time writes, by an advisory lock held for the transaction."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import asyncpg
from asyncpg.exceptions._base import DataError as ArgumentRefused

from whence_aggregator.ports import P, R, T, WriteConflict
from whence_aggregator.queries.query import BoundCommand, BoundQueries, BoundQuery, NamedQuery, Parameters
from whence_aggregator.storage import named_queries
from whence_aggregator.storage.named_queries import NumberedQuery, OpenMode
from whence_aggregator.storage.postgres_errors import unavailable
from whence_aggregator.storage.postgres_login import login
from whence_aggregator.storage.postgres_migration import migrate
from whence_aggregator.storage.postgres_statements import (
    LOCK,
    columns_of,
    inserts_together,
    octets_of,
    queries_together,
    rows_of,
    values_of,
)
from whence_aggregator.storage.tables import Row, Rows
from whence_common.runtime.logs import fields
from whence_common.storable import Unstorable

log = logging.getLogger(__name__)

CONNECTIONS_MAX = 10
CONNECTIONS_MIN = 4
_WRITERS_MAX = 2
_COMMAND_SECONDS_MAX = 30.0
_HEX = "set bytea_output = hex"
"""The format of bytes in JSON, whatever the database's setting is."""
_TABLE = re.compile(r"insert into ([a-z_]+)\s")
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
"""InternalClientError is raised, for example, when a server shuts down while a query is being sent."""
_UNSTORABLE = (
    asyncpg.DataError,
    ArgumentRefused,
    asyncpg.ProgramLimitExceededError,
    UnicodeEncodeError,
    OverflowError,
)
"""Errors in the values, not the database: classes 22 and 54, and values that cannot be sent."""


class PostgresDatabase:
    """A database behind a DSN. Made by `open`; `close` it."""

    def __init__(self, pool: Any, brief: Any, writers: Any) -> None:
        self.pool = pool
        self.brief = brief
        self.writers = writers
        self.numbered = named_queries.numbered("postgres")
        self.many = named_queries.many_rows("postgres")
        self.batches: dict[str, NumberedQuery] = {}
        self.together: dict[tuple[str | bool, ...], str] = {}
        """Statements that run several inserts at once, by the names of these, and whether they take the lock."""
        self.answers: dict[tuple[str, ...], tuple[str, list[Sequence[str]]]] = {}
        """Statements that run several queries at once, and the columns of each that contain bytes."""
        self._writing = asyncio.Lock()

    @classmethod
    async def open(
        cls, dsn: str, mode: OpenMode = "make", *, connections_max: int = CONNECTIONS_MAX
    ) -> PostgresDatabase:
        """Connect, and create or migrate tables as far as the mode allows.

        Raises StorageUnavailable; its message never contains the DSN.

        Two connections write, one of them as the sequencer. Half of the others are for brief queries, so that these do
        not wait for long searches.
        """
        assert connections_max >= CONNECTIONS_MIN
        brief_max = (connections_max - _WRITERS_MAX) // 2
        long_max = connections_max - _WRITERS_MAX - brief_max
        pools: list[Any] = []

        async def pool(size: int, **options: Any) -> Any:
            pools.append(await asyncpg.create_pool(place, max_size=size, **password, **common, **options))
            return pools[-1]

        common = {"min_size": 1, "command_timeout": _COMMAND_SECONDS_MAX, "reset": _keep}
        try:
            place, password = login(dsn)
            writers = await pool(_WRITERS_MAX)
            async with writers.acquire() as connection:
                await migrate(connection, mode)
            return cls(await pool(long_max, init=_plan_each_time), await pool(brief_max, init=_plan_once), writers)
        except BaseException as exc:
            for one in pools:
                one.terminate()
            if isinstance(exc, (*_FAILURES, ValueError)):
                raise unavailable(exc) from exc
            raise

    async def close(self) -> None:
        """Close all connections once their work is done."""
        await self.pool.close()
        await self.brief.close()
        await self.writers.close()

    def connections(self) -> Mapping[tuple[str, str], int]:
        """Return the number of connections by pool and state."""
        pools = {"read": self.pool, "look-up": self.brief, "write": self.writers}
        return {
            (name, state): count
            for name, pool in pools.items()
            for state, count in (
                ("open", pool.get_size()), ("idle", pool.get_idle_size()), ("most", pool.get_max_size()),
            )
        }  # fmt: skip

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_PostgresTransaction]:
        async with self._writing, self._opened(sequenced=True) as transaction:
            yield transaction

    async def write(self, *writes: BoundCommand) -> None:
        async with self._opened(sequenced=False) as transaction:
            await transaction.finish(*writes)

    async def write_returning(self, query: NamedQuery[P, R], rows: Sequence[P]) -> Sequence[R]:
        if not rows:
            return []
        async with self._opened(sequenced=False) as transaction:
            return cast(Sequence[R], await transaction.insert_returning(query.name, rows))

    @asynccontextmanager
    async def _opened(self, *, sequenced: bool) -> AsyncIterator[_PostgresTransaction]:
        try:
            async with self.writers.acquire() as connection:
                transaction = _PostgresTransaction(connection, self, sequenced=sequenced)
                try:
                    yield transaction
                except BaseException:
                    if transaction.begun:
                        with suppress(*_FAILURES):
                            await connection.execute("rollback")
                    raise
                if transaction.begun:
                    await connection.execute("commit")
        except asyncpg.UniqueViolationError as exc:
            raise WriteConflict("storage-conflict", "PostgreSQL: another replica wrote first") from exc
        except _UNSTORABLE as exc:
            raise _unstorable(exc) from exc
        except _FAILURES as exc:
            raise unavailable(exc) from exc

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]:
        return cast(Sequence[R], (await self._answers([asked], self.pool))[0])

    async def fetch_all(self, asked: BoundQueries[T], *, brief: bool = False) -> T:
        return cast(T, await self._answers(asked.queries, self.brief if brief else self.pool))

    async def _answers(self, asked: Sequence[BoundQuery[Any]], pool: Any) -> Rows:
        try:
            if len(asked) == 1:
                query, parameters = asked[0]
                return (await _fetch(pool, self.numbered[query], parameters),)
            async with pool.acquire() as connection:
                return await self._fetch_together(connection, asked)
        except _UNSTORABLE as exc:
            raise _unstorable(exc) from exc
        except _FAILURES as exc:
            raise unavailable(exc) from exc

    async def _fetch_together(self, connection: Any, asked: Sequence[BoundQuery[Any]]) -> Rows:
        """Run all queries as one statement: one round trip, and one snapshot for all."""
        names = tuple(query for query, _ in asked)
        known = self.answers.get(names)
        if known is None:
            octets = [await octets_of(connection, self.numbered[query].sql) for query in names]
            known = self.answers[names] = queries_together([self.numbered[query] for query in names]), octets
        sql, octets = known
        values = [value for query, parameters in asked for value in values_of(self.numbered[query], parameters)]
        row = await connection.fetchrow(sql, *values)
        return tuple([rows_of(text, columns) for text, columns in zip(row, octets, strict=True)])


class _PostgresTransaction:
    """`sequenced`: the transaction holds the sequencer's lock."""

    def __init__(self, connection: Any, database: PostgresDatabase, *, sequenced: bool) -> None:
        self._connection = connection
        self._database = database
        self._sequenced = sequenced
        self.begun = False

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]:
        await self._begin()
        found = await _fetch(self._connection, self._database.numbered[asked.name], asked.parameters)
        return cast(Sequence[R], found)

    async def fetch_all(self, asked: BoundQueries[T]) -> T:
        return cast(T, tuple([await self.fetch(one) for one in asked.queries]))

    async def execute(self, *writes: BoundCommand) -> None:
        if writes:
            await self._begin()
        for query, rows in writes:
            if len(rows) == 1:
                numbered = self._database.numbered[query]
                await self._connection.execute(numbered.sql, *values_of(numbered, rows[0]))
            elif rows and query in self._database.many:
                await self._insert_together([BoundCommand(query, rows)])
            elif rows:
                numbered = self._database.numbered[query]
                await self._connection.executemany(numbered.sql, [values_of(numbered, row) for row in rows])

    async def finish(self, *writes: BoundCommand) -> None:
        """Run the inserts, each into a different table, as one statement: one round trip instead of eight.

        If nothing was read before, that statement is the whole transaction. Other commands run after it, and see its
        rows.
        """
        together: list[BoundCommand] = []
        others: list[BoundCommand] = []
        tables: set[str] = set()
        for query, rows in writes:
            table = _TABLE.match(self._database.many[query].before) if query in self._database.many else None
            if not rows:
                continue
            if table is None or table[1] in tables:
                others.append(BoundCommand(query, rows))
            else:
                tables.add(table[1])
                together.append(BoundCommand(query, rows))
        if others:
            await self._begin()
        if together:
            await self._insert_together(together)
        await self.execute(*others)

    async def insert_returning(self, query: str, rows: Sequence[Parameters]) -> Sequence[Row]:
        """Run one insert, which is the whole transaction; return what it returns."""
        batch = await self._batch(query)
        found: Sequence[Row] = await self._connection.fetch(
            f"with sequencer as (select) {batch.sql}", *columns_of(batch, rows)
        )
        return found

    async def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            await self._connection.execute(f"begin; {LOCK}" if self._sequenced else "begin")

    async def _insert_together(self, writes: Sequence[BoundCommand]) -> None:
        batches = [await self._batch(query) for query, _ in writes]
        columns = [
            column for (_, rows), batch in zip(writes, batches, strict=True) for column in columns_of(batch, rows)
        ]
        lock = self._sequenced and not self.begun
        names: tuple[str | bool, ...] = (*(query for query, _ in writes), lock)
        sql = self._database.together.get(names)
        if sql is None:
            sql = self._database.together[names] = inserts_together(batches, lock=lock)
        await self._connection.execute(sql, *columns)

    async def _batch(self, query: str) -> NumberedQuery:
        """Return a query that takes each parameter as an array: one round trip for all rows."""
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
            sql = f"{many.before}select u.* from sequencer, unnest({arrays}) as u{many.after}"  # noqa: S608 - our own
            known = NumberedQuery(sql, many.parameters)
            self._database.batches[query] = known
        return known


async def _fetch(connection: Any, numbered: NumberedQuery, parameters: Parameters) -> Sequence[Row]:
    found: Sequence[Row] = await connection.fetch(numbered.sql, *values_of(numbered, parameters))
    return found


async def _plan_each_time(connection: Any) -> None:
    """Plan each search for its parameters: filters may be null, and a generic plan joins whole tables."""
    await connection.execute(f"set plan_cache_mode = force_custom_plan; {_HEX}")


async def _plan_once(connection: Any) -> None:
    """Plan look-ups of a few rows by key once: planning takes longer than the query."""
    await connection.execute(f"set plan_cache_mode = force_generic_plan; {_HEX}")


async def _keep(connection: Any) -> None:
    """Do not reset a connection when it returns to the pool: nothing else is set in its session."""


def _unstorable(exc: BaseException) -> Unstorable:
    log.warning("PostgreSQL refuses a value", extra=fields(error=type(exc).__name__))
    return Unstorable("what was sent")
