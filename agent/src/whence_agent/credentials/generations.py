"""Sets of files that change atomically: each set is a directory, activated by one rename of a relative symlink.

`<directory>/<link>` points to `generations/<n>`. With `flat`, the directory also has a link for each file, through
`<link>`, as berry's users expect. A directory has one writer; a second one is refused.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from whence_common.errors import InputError
from whence_common.runtime.files import remove_temporaries, sync_directory, write_durably

_KEPT = 2
_FILE_BYTES_MAX = 1024 * 1024


class DirectoryTaken(InputError):
    """Another process writes to this directory."""


def discard(directory: Path, *, link: str) -> None:
    """Remove all published files of a directory, which are another machine's. Raises OSError."""
    (directory / link).unlink(missing_ok=True)
    if (directory / "generations").is_dir():
        shutil.rmtree(directory / "generations")
        sync_directory(directory)


class Generations:
    """Publishes sets of files for one group. `number` is the current generation, 0 before the first."""

    def __init__(self, directory: Path, *, link: str, group: int, mode: int = 0o440, flat: bool = False) -> None:
        self._directory = directory
        self._link = link
        self._group = group
        self._mode = mode
        self._flat = flat
        self._lock: int | None = None
        self._latest = 0
        self.number = 0
        self.files: dict[str, bytes] = {}

    def open(self) -> None:
        """Lock the directory, clean up after a killed writer, read the files. Raises DirectoryTaken or OSError."""
        root = self._directory / "generations"
        root.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._take(root)
        self._give_to_group(root)
        remove_temporaries(self._directory)
        self._latest = max((int(path.name) for path in root.iterdir() if path.name.isdigit()), default=0)
        self.files = self._read_current()
        for path in root.iterdir():
            if path.name.isdigit() and int(path.name) > self.number:
                shutil.rmtree(path)  # its writer was killed before the switch
                self._latest = self.number

    def close(self) -> None:
        """Unlock the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def publish(self, files: Mapping[str, bytes]) -> bool:
        """Switch to these files, durably; return whether anything changed. Raises OSError, and the old files remain."""
        if dict(files) == self.files and self.number:
            return False
        number = self._latest + 1
        target = self._directory / "generations" / str(number)
        target.mkdir(mode=0o750)
        try:
            self._give_to_group(target)
            for name, content in files.items():
                write_durably(target / name, content, mode=self._mode, group=self._group)
            sync_directory(target.parent)
            self._switch(self._link, f"generations/{number}")
        except OSError:
            shutil.rmtree(target, ignore_errors=True)
            raise
        self._latest = self.number = number
        self.files = dict(files)
        if self._flat:
            for name in files:
                self._switch(name, f"{self._link}/{name}")
        sync_directory(self._directory)
        for old in target.parent.iterdir():
            if old.name.isdigit() and int(old.name) <= number - _KEPT:
                shutil.rmtree(old)
        return True

    def _switch(self, name: str, to: str) -> None:
        path = self._directory / name
        if path.is_symlink() and os.readlink(path) == to:  # noqa: PTH115 - the text, not a path
            return
        temporary = self._directory / f".{name}.{secrets.token_hex(8)}.tmp"
        temporary.symlink_to(to)
        temporary.replace(path)

    def _read_current(self) -> dict[str, bytes]:
        """Return the published files of an earlier process; a link of another form is ignored."""
        path = self._directory / self._link
        head, _, number = os.readlink(path).partition("/") if path.is_symlink() else ("", "", "")  # noqa: PTH115
        target = self._directory / "generations" / number
        if head != "generations" or not number.isdigit() or number == "0" or not target.is_dir() or target.is_symlink():
            return {}
        self.number = int(number)
        return {
            one.name: one.read_bytes()
            for one in target.iterdir()
            if not one.is_symlink() and one.is_file() and one.stat().st_size <= _FILE_BYTES_MAX
        }

    def _take(self, root: Path) -> None:
        if self._lock is not None:
            return
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(descriptor)
            fix = "stop it, or use another directory"
            raise DirectoryTaken("directory-taken", f"another process writes to {self._directory}", fix=fix) from exc
        self._lock = descriptor

    def _give_to_group(self, directory: Path) -> None:
        directory.chmod(0o755 if self._mode & 0o004 else 0o750)
        if directory.stat().st_gid != self._group:
            os.chown(directory, -1, self._group)
