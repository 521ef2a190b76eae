"""Atomic, durable file writes: a temporary file is written, synced and renamed or linked; its directory is synced."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


class Disk:
    """Receives the steps of a durable write; tests pass one that fails at a chosen step."""

    def step(self, name: str) -> None:
        """Called at each step: `begin`, `made`, `written`, `synced`, `renamed` or `removed`."""


_DISK = Disk()


def write_durably(path: Path, content: bytes, *, mode: int, group: int | None = None, disk: Disk = _DISK) -> None:
    """Replace a file atomically and durably. No symlink is followed. Raises OSError with the old file untouched."""
    _replace(path, content, mode=mode, owner=(-1, group) if group is not None else None, disk=disk)


def replace_for_owner(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file as `write_durably` does, and give it the owner of its directory.

    Operators run commands as root, and the service runs as its own user, which must be able to read the new file.
    """
    _replace(path, content, mode=mode, owner=_owner_of(path.parent), disk=_DISK)


def make_once_for_owner(path: Path, content: bytes) -> bytes:
    """Create a secret file unless it exists; return its contents, also under concurrent creation. Raises OSError."""
    temporary = _written_beside(path, content, mode=0o600, owner=_owner_of(path.parent), disk=_DISK)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        temporary.unlink()
    sync_directory(path.parent)
    return content


def sync_directory(directory: Path) -> None:
    """Sync a directory, so that its entries are durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(directory: Path) -> None:
    """Remove the temporary files of a killed writer. Call it only while no other process writes to the directory."""
    for leftover in directory.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def _replace(path: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None, disk: Disk) -> None:
    temporary = _written_beside(path, content, mode=mode, owner=owner, disk=disk)
    try:
        temporary.replace(path)
        disk.step("renamed")
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def _written_beside(path: Path, content: bytes, *, mode: int, owner: tuple[int, int] | None, disk: Disk) -> Path:
    """Write and sync a temporary file in the directory of `path`. `owner` is (user, group), -1 for our own."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    disk.step("begin")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            disk.step("made")
            stream.write(content)
            stream.flush()
            disk.step("written")
            os.fchmod(stream.fileno(), mode)
            if owner is not None and (-1, os.fstat(stream.fileno()).st_gid) != owner:
                os.fchown(stream.fileno(), *owner)
            os.fsync(stream.fileno())
        disk.step("synced")
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        if exc.filename is None:  # errors of write and fsync do not name the file
            exc.filename = str(path)
        raise
    return temporary


def _owner_of(directory: Path) -> tuple[int, int] | None:
    """Return the owner that new files receive, or None: only root can change owners."""
    found = directory.stat()
    return (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
