"""SQLite: one writer connection in its own thread, WAL, synchronous=FULL; readers have their own connections."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

from whence_aggregator.ports import P, R, StorageUnavailable, T
from whence_aggregator.queries.query import BoundCommand, BoundQueries, BoundQuery, NamedQuery, Parameters
from whence_aggregator.storage import named_queries
from whence_aggregator.storage.named_queries import ManyRows, OpenMode
from whence_aggregator.storage.sqlite_checkpoints import Checkpoints
from whence_aggregator.storage.sqlite_errors import CODE, translated
from whence_aggregator.storage.sqlite_migration import check_file, migrate, write_ahead
from whence_aggregator.storage.tables import Row, Rows

READERS = 2
_BUSY_SECONDS_MAX = 10
_ROWS_AT_ONCE_MAX = 256
_ROWS_ALONE_MAX = 128
_ROWS_STEP = 8
"""Any number of rows is written with at most two of a few distinct statements: each is parsed once and cached."""
_STATEMENTS_KEPT = 1_024
_VARIABLES_MAX = 30_000
_PRAGMAS = ("synchronous=full", "foreign_keys=on", "cache_size=-65536", "wal_autocheckpoint=0")
W = TypeVar("W")


class SqliteDatabase:
    """A database in one file. Made by `open`; `close` it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._queries = named_queries.load("sqlite")
        self._many = named_queries.many_rows("sqlite")
        self._writing = asyncio.Lock()
        self._writer_thread = ThreadPoolExecutor(1, "sqlite-writer")
        self._reader_threads = ThreadPoolExecutor(READERS, "sqlite-reader")
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._reading = 0
        self._writer: sqlite3.Connection | None = None
        self._checkpoints: Checkpoints | None = None

    @classmethod
    async def open(cls, path: Path, mode: OpenMode = "make") -> SqliteDatabase:
        """Open the file, and create or migrate it as far as the mode allows. Raises StorageUnavailable."""
        database = cls(path)
        try:
            await database._in_writer(lambda: database._connect_writer(mode))
        except BaseException as exc:
            await database.close()
            if isinstance(exc, StorageUnavailable) and exc.code == CODE:
                raise StorageUnavailable(CODE, f"{path}: {exc.message}", fix=exc.fix) from exc
            raise
        return database

    async def close(self) -> None:
        """Close all connections once their work is done."""
        await asyncio.to_thread(self._reader_threads.shutdown)
        for reader in self._readers:
            reader.close()
        if self._checkpoints is not None:
            await asyncio.to_thread(self._checkpoints.close)
        if self._writer is not None:
            await self._in_writer(self._writer.close)
        await asyncio.to_thread(self._writer_thread.shutdown)

    def connections(self) -> Mapping[tuple[str, str], int]:
        """Return the number of connections by pool and state. Each thread has a reader, and the event loop has one."""
        return {
            ("read", "open"): len(self._readers),
            ("read", "idle"): max(0, len(self._readers) - self._reading),
            ("read", "most"): READERS + 1,
            ("write", "open"): int(self._writer is not None),
            ("write", "idle"): int(not self._writing.locked()),
            ("write", "most"): 1,
        }

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_SqliteTransaction]:
        async with self._writing:
            transaction = _SqliteTransaction(self)
            try:
                yield transaction
            except BaseException:
                await asyncio.shield(self._in_writer(self._rollback))
                raise
            if not transaction.finished:
                await asyncio.shield(self._in_writer(self._commit))

    async def write(self, *writes: BoundCommand) -> None:
        async with self._writing:
            await asyncio.shield(self._in_writer(lambda: self._finish(writes)))

    async def write_returning(self, query: NamedQuery[P, R], rows: Sequence[P]) -> Sequence[R]:
        if not rows:
            return []
        async with self._writing:
            found = await asyncio.shield(self._in_writer(lambda: self._returned(query.name, rows)))
        return cast(Sequence[R], found)

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]:
        return cast(Sequence[R], (await self._answers([asked]))[0])

    async def fetch_all(self, asked: BoundQueries[T], *, brief: bool = False) -> T:
        if brief:  # waking a thread takes longer than such a look-up
            with translated():
                return cast(T, self._read(asked.queries))
        return cast(T, await self._answers(asked.queries))

    async def _answers(self, asked: Sequence[BoundQuery[Any]]) -> Rows:
        self._reading += 1
        try:
            return await _in(self._reader_threads, lambda: self._read(asked))
        finally:
            self._reading -= 1

    async def in_transaction(self, reads: Sequence[BoundQuery[Any]], writes: Sequence[BoundCommand]) -> Rows:
        """Write, then read, through the writer's connection; the first such call begins its transaction."""
        return await self._in_writer(lambda: self._work(reads, writes))

    async def finish_transaction(self, writes: Sequence[BoundCommand]) -> None:
        """Write through the writer's connection and commit."""
        await asyncio.shield(self._in_writer(lambda: self._finish(writes)))

    async def _in_writer(self, work: Callable[[], W]) -> W:
        return await _in(self._writer_thread, work)

    def _work(self, reads: Sequence[BoundQuery[Any]], writes: Sequence[BoundCommand]) -> Rows:
        connection = self._connection()
        if not connection.in_transaction:
            connection.execute("begin immediate")
        for query, rows in writes:
            self._write(connection, query, rows)
        return tuple([_rows(connection.execute(self._queries[query], parameters)) for query, parameters in reads])

    def _finish(self, writes: Sequence[BoundCommand]) -> None:
        try:
            if not self._written_at_once(writes):
                self._work([], writes)
        except BaseException:
            self._rollback()
            raise
        self._commit()

    def _written_at_once(self, writes: Sequence[BoundCommand]) -> bool:
        """Write if it is one statement, which is a transaction by itself; return whether it was."""
        connection = self._connection()
        if len(writes) != 1 or connection.in_transaction:
            return False
        ((query, rows),) = writes
        many = self._many.get(query)
        if many is None or not 0 < len(rows) <= _ROWS_ALONE_MAX:
            return False
        _insert(connection, many, rows)
        return True

    def _returned(self, query: str, rows: Sequence[Parameters]) -> list[Row]:
        """Write rows, in one statement if there are few, commit, and return the rows that the query returns."""
        connection, many = self._connection(), self._many[query]
        found: list[Row] = []
        try:
            if len(rows) <= _ROWS_ALONE_MAX:
                found += _insert(connection, many, rows)
            else:
                connection.execute("begin immediate")
                for part in _parts(many, rows):
                    found += _insert(connection, many, part)
        except BaseException:
            self._rollback()
            raise
        self._commit()
        return found

    def _write(self, connection: sqlite3.Connection, query: str, rows: Sequence[Parameters]) -> None:
        """Insert many rows with one statement: the interpreter's lock is released for each statement, not each row."""
        many = self._many.get(query)
        if many is None or len(rows) < 2:
            connection.executemany(self._queries[query], rows)
            return
        for part in _parts(many, rows):
            _insert(connection, many, part)

    def _read(self, asked: Sequence[BoundQuery[Any]]) -> Rows:
        connection = self._reader()
        if len(asked) == 1:
            query, parameters = asked[0]
            return (_rows(connection.execute(self._queries[query], parameters)),)
        connection.execute("begin")
        try:
            return tuple([_rows(connection.execute(self._queries[query], parameters)) for query, parameters in asked])
        finally:
            connection.execute("rollback")

    def _connection(self) -> sqlite3.Connection:
        assert self._writer is not None
        return self._writer

    def _commit(self) -> None:
        connection = self._connection()
        try:
            if connection.in_transaction:
                connection.execute("commit")
            if self._checkpoints is not None:
                self._checkpoints.committed()
        except sqlite3.Error:
            self._rollback()
            raise

    def _rollback(self) -> None:
        """Roll back. For a cancelled caller too: the writer's thread runs it after the current statement."""
        if self._connection().in_transaction:
            self._connection().execute("rollback")

    def _connect_writer(self, mode: OpenMode) -> None:
        if mode != "make" and not self.path.is_file():
            fix = "correct `database` in the settings; nothing was created"
            raise StorageUnavailable("database-missing", f"there is no database {self.path}", fix=fix, retryable=False)
        connection = sqlite3.connect(
            self._uri("rwc" if mode == "make" else "rw"), uri=True, isolation_level=None, check_same_thread=False,
            timeout=_BUSY_SECONDS_MAX, cached_statements=_STATEMENTS_KEPT,
        )  # fmt: skip
        self._writer = connection
        connection.row_factory = sqlite3.Row
        check_file(connection, mode)
        write_ahead(connection, seconds_max=_BUSY_SECONDS_MAX)
        for pragma in _PRAGMAS:
            connection.execute(f"pragma {pragma}")
        migrate(connection, mode)
        self._checkpoints = Checkpoints(self.path)

    def _uri(self, mode: str) -> str:
        return f"{self.path.absolute().as_uri()}?mode={mode}"

    def _reader(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = sqlite3.connect(
                self._uri("ro"), uri=True, check_same_thread=False, timeout=_BUSY_SECONDS_MAX,
                isolation_level=None,
            )  # fmt: skip
            connection.row_factory = sqlite3.Row
            self._local.connection = connection
            self._readers.append(connection)
        return connection


class _SqliteTransaction:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database
        self.finished = False
        """Whether the transaction is committed."""

    async def fetch(self, asked: BoundQuery[R]) -> Sequence[R]:
        return cast(Sequence[R], (await self._database.in_transaction([asked], []))[0])

    async def fetch_all(self, asked: BoundQueries[T]) -> T:
        return cast(T, await self._database.in_transaction(asked.queries, []))

    async def execute(self, *writes: BoundCommand) -> None:
        wanted = [one for one in writes if one.rows]
        if wanted:
            await self._database.in_transaction([], wanted)

    async def finish(self, *writes: BoundCommand) -> None:
        await self._database.finish_transaction([one for one in writes if one.rows])
        self.finished = True


def _parts(many: ManyRows, rows: Sequence[Parameters]) -> Iterator[Sequence[Parameters]]:
    """Yield rows in parts for as few statements as possible, of few distinct lengths."""
    most, start = min(_ROWS_AT_ONCE_MAX, _VARIABLES_MAX // len(many.parameters)), 0
    while start < len(rows):
        left = min(len(rows) - start, most)
        count = left if left < _ROWS_STEP else left - left % _ROWS_STEP
        yield rows[start : start + count]
        start += count


def _insert(connection: sqlite3.Connection, many: ManyRows, rows: Sequence[Parameters]) -> Sequence[Row]:
    one = f"({','.join('?' * len(many.parameters))})"
    sql = f"{many.before}values {','.join([one] * len(rows))}{many.after}"
    return _rows(connection.execute(sql, [row[name] for row in rows for name in many.parameters]))


async def _in(threads: ThreadPoolExecutor, work: Callable[[], W]) -> W:
    with translated():
        return await asyncio.get_running_loop().run_in_executor(threads, work)


def _rows(cursor: sqlite3.Cursor) -> Sequence[Row]:
    return cast(Sequence[Row], cursor.fetchall())  # sqlite3.Row has what a Row is used for: keys and values by name
