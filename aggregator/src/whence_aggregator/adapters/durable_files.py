"""Small files of our own: on the disk whole or not at all, and readable by whoever owns their directory.

An operator's command runs as root, the service as a user of its own: what root makes here must be the service's.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from whence_common.settings_file import SettingsInvalid


def make_once(path: Path, content: bytes) -> bytes:
    """Make a secret file unless there is one; give what it holds, however many make it at once.

    Raises OSError, or SettingsInvalid when its directory is not there.
    """
    if not path.parent.is_dir():
        raise SettingsInvalid(
            "directory-missing", f"{path.parent} is no directory, and {path.name} belongs there",
            fix="make it for the service's user; systemd does at the service's first start",
        )  # fmt: skip
    made = _written(path, content, mode=0o600)
    try:
        os.link(made, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        made.unlink()
    _sync(path.parent)
    return content


def replace(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Have the old content or the new one on the disk, whatever happens. Raises OSError."""
    _written(path, content, mode=mode).replace(path)
    _sync(path.parent)


def _written(path: Path, content: bytes, *, mode: int) -> Path:
    directory = path.parent
    temporary = directory / f".{path.name}.{secrets.token_hex(8)}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            if os.geteuid() == 0:
                owner = directory.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            stream.write(content)
            stream.flush()
            os.fsync(descriptor)
    except BaseException:
        temporary.unlink()
        raise
    return temporary


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
