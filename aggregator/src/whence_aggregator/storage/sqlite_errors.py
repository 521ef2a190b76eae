"""SQLite's errors as StorageUnavailable and others, with what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from whence_aggregator.ports import StorageUnavailable, WriteConflict
from whence_common.errors import one_line
from whence_common.storable import Unstorable

CODE = "storage-sqlite"
_DAMAGED = "it is damaged, or not a ledger: correct `database`, or restore a backup (README: Backup, restore, upgrade)"
_RIGHTS = "the service's user must own it, its -wal and -shm beside it, and their directory: chown USER them"
_FIXES = {
    sqlite3.SQLITE_CANTOPEN: "its directory must be there, and the service's user must be able to write in it",
    sqlite3.SQLITE_READONLY: _RIGHTS, sqlite3.SQLITE_PERM: _RIGHTS,
    sqlite3.SQLITE_CORRUPT: _DAMAGED, sqlite3.SQLITE_NOTADB: _DAMAGED,
}  # fmt: skip


@contextmanager
def translated() -> Iterator[None]:
    """Translate SQLite's errors into ours."""
    try:
        yield
    except sqlite3.IntegrityError as exc:
        raise WriteConflict("storage-conflict", f"SQLite: {one_line(str(exc), 200)}") from exc
    except (sqlite3.DataError, UnicodeEncodeError, OverflowError) as exc:
        raise Unstorable("what was sent") from exc
    except sqlite3.Error as exc:
        message = f"SQLite: {one_line(str(exc), 200)}"
        raise StorageUnavailable(CODE, message, fix=_fix(exc)) from exc


def _fix(exc: sqlite3.Error) -> str:
    code = (getattr(exc, "sqlite_errorcode", None) or 0) & 0xFF
    return _FIXES.get(code, "see the disk's space and health")
