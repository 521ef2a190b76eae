"""SQLite: one writer connection in its own thread, WAL, synchronous=FULL; readers on connections of their own."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from whence_aggregator.ports import Parameters, Row, StorageUnavailable
from whence_aggregator.storage import named_queries

READERS = 2
_BUSY_SECONDS_MAX = 10
T = TypeVar("T")


class SqliteDatabase:
    """A database in one file. Made by `open`; `close` it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._queries = named_queries.load("sqlite")
        self._writing = asyncio.Lock()
        self._writer_thread = ThreadPoolExecutor(1, "sqlite-writer")
        self._reader_threads = ThreadPoolExecutor(READERS, "sqlite-reader")
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None

    @classmethod
    async def open(cls, path: Path) -> SqliteDatabase:
        """Open or make the file and migrate it. Raises StorageUnavailable."""
        database = cls(path)
        await database._in_writer(database._connect_writer)
        return database

    async def close(self) -> None:
        """Close all connections once their work is done."""
        await asyncio.to_thread(self._reader_threads.shutdown)
        for reader in self._readers:
            reader.close()
        if self._writer is not None:
            await self._in_writer(self._writer.close)
        await asyncio.to_thread(self._writer_thread.shutdown)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_SqliteTransaction]:
        async with self._writing:
            try:
                await self._in_writer(lambda: self._run("begin immediate"))
                yield _SqliteTransaction(self)
            except BaseException:
                await asyncio.shield(self._in_writer(self._rollback))
                raise
            await asyncio.shield(self._in_writer(self._commit))

    async def fetch(self, query: str, parameters: Parameters) -> Sequence[Row]:
        sql = self._queries[query]
        return await _in(self._reader_threads, lambda: self._reader().execute(sql, parameters).fetchall())

    async def fetch_in_transaction(self, query: str, parameters: Parameters) -> Sequence[Row]:
        """Read through the writer's connection, so that its own writes are seen."""
        sql = self._queries[query]
        return await self._in_writer(lambda: self._connection().execute(sql, parameters).fetchall())

    async def execute_in_transaction(self, query: str, rows: Sequence[Parameters]) -> None:
        """Write through the writer's connection."""
        sql = self._queries[query]
        await self._in_writer(lambda: self._connection().executemany(sql, rows))

    async def _in_writer(self, work: Callable[[], T]) -> T:
        return await _in(self._writer_thread, work)

    def _connection(self) -> sqlite3.Connection:
        assert self._writer is not None
        return self._writer

    def _run(self, sql: str) -> None:
        self._connection().execute(sql)

    def _commit(self) -> None:
        try:
            self._run("commit")
        except sqlite3.Error:
            self._rollback()
            raise

    def _rollback(self) -> None:
        """Also what a cancelled caller leaves to do: the one thread runs it after whatever was under way."""
        if self._connection().in_transaction:
            self._run("rollback")

    def _connect_writer(self) -> None:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, timeout=_BUSY_SECONDS_MAX
        )
        connection.row_factory = _row
        for pragma in ("journal_mode=wal", "synchronous=full", "foreign_keys=on", "cache_size=-65536"):
            connection.execute(f"pragma {pragma}")
        version = int(connection.execute("pragma user_version").fetchone()["user_version"])
        steps = named_queries.migrations("sqlite")
        if version > steps[-1][0]:
            raise sqlite3.DatabaseError(f"the file is of a newer version ({version}) than this program knows")
        for number, sql in steps:
            if number > version:
                connection.executescript(f"begin immediate;\n{sql}\npragma user_version = {number};\ncommit;")
        self._writer = connection

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                f"file:{self.path}?mode=ro", uri=True, check_same_thread=False, timeout=_BUSY_SECONDS_MAX
            )
            connection.row_factory = _row
            self._local.connection = connection
            self._readers.append(connection)
        return connection


class _SqliteTransaction:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def fetch(self, query: str, parameters: Parameters) -> Sequence[Row]:
        return await self._database.fetch_in_transaction(query, parameters)

    async def execute(self, query: str, rows: Sequence[Parameters]) -> None:
        if rows:
            await self._database.execute_in_transaction(query, rows)


async def _in(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, work)
    except sqlite3.Error as exc:
        raise StorageUnavailable("storage-sqlite", f"SQLite: {exc}", fix="see the disk's space and health") from exc


def _row(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}
