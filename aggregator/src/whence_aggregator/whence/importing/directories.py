"""Catalog files below a directory of this machine. Symbolic links are not followed, at any step of a path."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from whence_aggregator.whence.importing.values import Origin, Unmapped
from whence_aggregator.whence.importing.yaml_documents import FILE_BYTES_MAX
from whence_common.errors import InputError

ENTRIES_MAX = 1_000_000
DIRECTORIES_DEEP_MAX = 64
NOT_ENTERED = frozenset({".git", "node_modules"})
"""Directories with files that are not the repository's own."""
_READ_BYTES = 256 * 1024


class DirectoryTree:
    """The files of a directory whose names match, or one file of it."""

    repository = ""

    def __init__(self, path: Path, *, file_names: Sequence[str]) -> None:
        """Open a directory or a file, which a person named: this path itself may be a link. Raises InputError."""
        try:
            resolved = path.resolve(strict=True)
        except (OSError, RuntimeError) as exc:
            raise InputError("import-path", f"{path} cannot be read", fix="pass a directory or a file") from exc
        self._single = resolved.name if not resolved.is_dir() else None
        self._root = resolved.parent if self._single is not None else resolved
        self._prefix = path.parent if self._single is not None else path
        self._file_names = file_names

    def starts(self) -> Iterator[str | Unmapped]:
        if self._single is not None:
            yield self._single
            return
        yield from self._walk()

    def shown(self, path: str) -> str:
        return str(self._prefix / path)

    def identity(self, path: str) -> str:
        return str(self._root / path)

    def read(self, path: str) -> bytes:
        """Return a regular file, cut one byte beyond the largest that is accepted. Raises InputError."""
        directory = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            *above, name = PurePosixPath(path).parts
            for step in above:
                inner = os.open(step, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
                os.close(directory)
                directory = inner
            file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "the name is not valid"
            raise InputError(
                "import-unreadable", f"the file cannot be read: {reason}; symbolic links are not followed",
                fix="correct the path, or make it readable",
            ) from exc  # fmt: skip
        finally:
            os.close(directory)
        try:
            return _content(file)
        finally:
            os.close(file)

    def _walk(self) -> Iterator[str | Unmapped]:
        """Yield matching files in the order of their paths."""
        entries = 0
        failed: list[OSError] = []
        for above, directories, files in os.walk(self._root, onerror=failed.append):
            relative = os.path.relpath(above, self._root)
            directories[:] = sorted(name for name in directories if name not in NOT_ENTERED)
            entries += len(directories) + len(files)
            for name in directories:
                if Path(above, name).is_symlink():
                    yield self._unread(os.path.join(relative, name), "is a symbolic link, which is not followed")  # noqa: PTH118 - a relative text
            if entries > ENTRIES_MAX or relative.count(os.sep) > DIRECTORIES_DEEP_MAX:
                bounds = f"{ENTRIES_MAX} entries or {DIRECTORIES_DEEP_MAX} levels"
                yield self._unread(relative, f"more than {bounds}; the rest was not read")
                return
            for name in sorted(files):
                if any(fnmatch.fnmatchcase(name, pattern) for pattern in self._file_names):
                    yield os.path.normpath(os.path.join(relative, name))  # noqa: PTH118 - a relative text
            while failed:
                yield self._unread(relative, f"cannot be listed: {failed.pop().strerror}")

    def _unread(self, path: str, reason: str) -> Unmapped:
        return Unmapped(
            origin=Origin(file=self.shown(path)), code="import-unreadable", reason=reason,
            fix="pass its target as a path of its own", unread=True,
        )  # fmt: skip


def _content(file: int) -> bytes:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise InputError("import-unreadable", "is not a regular file", fix="remove it")
    content = bytearray()
    with suppress(InterruptedError):
        while len(content) <= FILE_BYTES_MAX and (part := os.read(file, _READ_BYTES)):
            content += part
    return bytes(content)
