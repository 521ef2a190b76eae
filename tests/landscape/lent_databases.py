"""Opened databases for tests: one that a test leaves is emptied and lent to the next, because to make one takes longer than most tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg

from landscape.postgres import copied_database, drop_database, new_database
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase

_TEMPLATE = "made"
_LOANS_MAX = 200
"""Of one database: deleted rows stay in its files."""
_EMPTYING_SECONDS_MAX = 10.0

_TABLES = """
select relname from pg_class
where relkind = 'r' and relnamespace = 'public'::regnamespace and relname <> 'migration'
order by relname
"""

_SCHEMA = """
select array[
    (select sum(xmin::text::bigint) from pg_class where oid >= 16384),
    (select sum(xmin::text::bigint) from pg_attribute where attrelid >= 16384),
    (select sum(xmin::text::bigint) from pg_constraint where oid >= 16384),
    (select sum(xmin::text::bigint) from pg_trigger where oid >= 16384),
    (select sum(xmin::text::bigint) from pg_proc where oid >= 16384),
    (select count(*) from pg_db_role_setting)
]
"""
"""Changes with every change of a table, an index, a trigger, a function or a setting."""


@dataclass
class _Lent:
    name: str
    database: PostgresDatabase
    tables: Sequence[str]
    schema: Sequence[int]
    loans: int = 0


class PostgresLoans:
    """Databases of one cluster, each lent to one test at a time. Made by `open`; `close` it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._idle: list[_Lent] = []

    @classmethod
    async def open(cls, dsn: str) -> PostgresLoans:
        await (await PostgresDatabase.open(await new_database(dsn, _TEMPLATE))).close()
        return cls(dsn)

    async def close(self) -> None:
        for lent in self._idle:
            await self._drop(lent)

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[PostgresDatabase]:
        """Yield a database with our tables and nothing in them."""
        lent = self._idle.pop() if self._idle else await self._made()
        lent.loans += 1
        try:
            yield lent.database
        finally:
            if lent.loans < _LOANS_MAX and await _emptied(lent):
                self._idle.append(lent)
            else:
                await self._drop(lent)

    async def _made(self) -> _Lent:
        name, dsn = await copied_database(self._dsn, _TEMPLATE)
        database = await PostgresDatabase.open(dsn)
        async with database.writers.acquire() as connection:
            tables = [row["relname"] for row in await connection.fetch(_TABLES)]
            return _Lent(name, database, tables, await connection.fetchval(_SCHEMA))

    async def _drop(self, lent: _Lent) -> None:
        for pool in _pools(lent.database):
            pool.terminate()
        await drop_database(self._dsn, lent.name)


async def _emptied(lent: _Lent) -> bool:
    """Delete all rows; return whether the database is as it was made, and no connection is in use."""
    if any(pool.is_closing() or pool.get_size() != pool.get_idle_size() for pool in _pools(lent.database)):
        return False
    delete = "".join(f"delete from {table};" for table in lent.tables)
    try:
        async with asyncio.timeout(_EMPTYING_SECONDS_MAX), lent.database.writers.acquire() as connection:
            if await connection.fetchval(_SCHEMA) != lent.schema:
                return False
            async with connection.transaction():
                await connection.execute(f"set local session_replication_role = replica; {delete}")  # without triggers
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return False
    return True


def _pools(database: PostgresDatabase) -> tuple[Any, ...]:
    return database.pool, database.brief, database.writers


class SqliteTemplate:
    """The file of an empty database, whose copies need no migration."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    @classmethod
    async def make(cls) -> SqliteTemplate:
        with TemporaryDirectory() as directory:
            path = Path(directory) / "ledger.db"
            await (await SqliteDatabase.open(path)).close()
            return cls(path.read_bytes())

    async def open(self, path: Path) -> SqliteDatabase:
        """Open a new database at a path."""
        with path.open("xb") as file:
            file.write(self._content)
        return await SqliteDatabase.open(path)
