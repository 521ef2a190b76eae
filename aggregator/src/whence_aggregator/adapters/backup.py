"""A backup in a new directory: the database at one moment, while the server runs, and its files.

The checkpoint file is left out on purpose: a restored database is recognised as old because the file is newer.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from whence_common.errors import InputError
from whence_common.runtime.files import sync_directory, write_durably

_BUSY_SECONDS_MAX = 10.0
_READ_BYTES = 1024 * 1024


class BackupRefused(InputError):
    """The backup cannot be written to this directory."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__("backup-refused", message, fix=fix)


def new_directory(directory: Path) -> None:
    """Create the backup's directory and its parents, readable by their owner only. Raises BackupRefused or OSError."""
    above = [one for one in directory.absolute().parents if not one.exists()]
    for one in reversed(above):
        one.mkdir(mode=0o700)
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        raise BackupRefused(f"{directory} already exists", fix="name a new directory for each backup") from None
    directory.chmod(0o700)


def copy_database(source: Path, target: Path) -> None:
    """Copy a SQLite database at one moment, while others write it. Raises BackupRefused."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    uri = f"{source.absolute().as_uri()}?mode=ro"
    try:
        with (
            closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS_MAX)) as one,
            closing(sqlite3.connect(target)) as other,
        ):
            one.backup(other)  # one step: a read transaction, so that a writer does not restart it
            (found,) = other.execute("pragma quick_check(1)").fetchone()
    except sqlite3.Error as exc:
        raise BackupRefused(f"the database cannot be copied: {exc}", fix="check the disk's space and health") from exc
    finally:
        os.fsync(descriptor)
        os.close(descriptor)
    if found != "ok":
        message = f"the copy is damaged, and the database may be damaged too: {found}"
        raise BackupRefused(message, fix="whence-aggregator ledger check")


def copy_file(source: Path, target: Path) -> bool:
    """Copy a file, readable by its owner only; return False if it does not exist. Raises OSError."""
    try:
        content = source.read_bytes()
    except FileNotFoundError:
        return False
    write_durably(target, content, mode=0o600)
    return True


def digests(directory: Path) -> Mapping[str, str]:
    """Return the SHA-256 of each file by name, after syncing all of them to the disk."""
    found = {}
    for path in sorted(directory.iterdir()):
        hash_ = hashlib.sha256()
        with path.open("rb") as stream:
            while part := stream.read(_READ_BYTES):
                hash_.update(part)
        found[path.name] = hash_.hexdigest()
    sync_directory(directory)
    sync_directory(directory.parent)
    return found
