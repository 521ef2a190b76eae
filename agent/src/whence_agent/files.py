"""Files that must be whole or absent: written beside, synced, renamed, directory synced."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


class Disk:
    """What a durable write goes through, step by step; a test makes one that fails at any of them."""

    def step(self, name: str) -> None:
        """Come to a step: `begin`, `made`, `written`, `synced`, `renamed` or `removed`."""


_DISK = Disk()


def write_durably(path: Path, content: bytes, *, mode: int, group: int | None = None, disk: Disk = _DISK) -> None:
    """Replace a file atomically and durably. No symlink is followed. Raises OSError with the old file untouched."""
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
            if group is not None and os.fstat(stream.fileno()).st_gid != group:
                os.fchown(stream.fileno(), -1, group)
            os.fsync(stream.fileno())
        disk.step("synced")
        temporary.replace(path)
        disk.step("renamed")
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make a directory's entries durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(directory: Path) -> None:
    """Remove what a killed writer left behind. Call it when nobody else writes there."""
    for leftover in directory.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)
