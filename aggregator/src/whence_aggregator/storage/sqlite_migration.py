"""Migration of a SQLite file: all steps in one transaction, by one of the processes that start together."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator

from whence_aggregator.storage import named_queries
from whence_aggregator.storage.named_queries import OpenMode

_LOOK_SECONDS = 0.02


def write_ahead(connection: sqlite3.Connection, *, seconds_max: float) -> None:
    """Switch the file to a write-ahead log; wait for other processes, as SQLite does not. Raises sqlite3.Error."""
    until = time.monotonic() + seconds_max
    while True:
        try:
            connection.execute("pragma journal_mode=wal")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return


def check_file(connection: sqlite3.Connection, mode: OpenMode) -> None:
    """Raise StorageUnavailable for a file that cannot be opened in this mode, before it is changed."""
    named_queries.check_version(_version(connection), named_queries.migrations("sqlite"), mode)


def migrate(connection: sqlite3.Connection, mode: OpenMode) -> None:
    """Migrate the file to the newest version. Raises sqlite3.Error or StorageUnavailable."""
    steps = named_queries.migrations("sqlite")
    if _version(connection) == steps[-1][0]:
        return
    connection.execute("begin immediate")
    try:
        version = _version(connection)
        named_queries.check_version(version, steps, mode)
        for number, sql in steps:
            if number > version:
                for statement in _statements(sql):
                    connection.execute(statement)
                connection.execute(f"pragma user_version = {number}")
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("pragma user_version").fetchone()[0])


def _statements(sql: str) -> Iterator[str]:
    """Yield the statements of a script; each ends at the end of a line."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
