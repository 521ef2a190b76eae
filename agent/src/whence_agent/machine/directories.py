"""Opens directories that containers can write to by descriptors, component by component.

No link is followed, and no path is resolved twice, so the checked directory is the one that is changed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from whence_agent.machine.protocol import MachineFailed

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """An open directory and its open parent. `path` is for messages."""

    descriptor: int
    above: int
    name: str
    path: Path

    @property
    def place(self) -> str:
        """A path for programs that inherit the descriptor; the kernel resolves it to this directory."""
        return f"/proc/self/fd/{self.descriptor}"

    @property
    def mount_id(self) -> int | None:
        """The id of the mount whose root this is; None if it is in the same mount as its parent."""
        own = _mount_id(self.descriptor)
        return own if own != _mount_id(self.above) else None

    @contextmanager
    def reopened(self) -> Iterator[Directory]:
        """Open the same name again: after mounting, the root of the mount. Raises MachineFailed."""
        descriptor = _open(self.name, self.above, self.path)
        try:
            yield Directory(descriptor=descriptor, above=self.above, name=self.name, path=self.path)
        finally:
            os.close(descriptor)

    def open_to_all(self) -> None:
        """Make the directory writable for every user, as Taupage did."""
        os.fchmod(self.descriptor, 0o777)


@contextmanager
def directory(base: Path, path: str) -> Iterator[Directory]:
    """Open a directory below `base`, and create missing ones. Raises MachineFailed if a component is a link."""
    base.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        above = descriptor = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, descriptor)
        place, name = base, ""
        for name in path.strip("/").split("/"):
            place = place / name
            above = descriptor
            with suppress(FileExistsError):  # checked when it is opened
                os.mkdir(name, 0o777, dir_fd=above)
            descriptor = _open(name, above, place)
            stack.callback(os.close, descriptor)
        yield Directory(descriptor=descriptor, above=above, name=name, path=place)


@contextmanager
def existing(base: Path, name: str) -> Iterator[int]:
    """Open a directory in `base` that another user may have created. Raises OSError for a link."""
    above = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = os.open(name, _FLAGS, dir_fd=above)
    finally:
        os.close(above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(name: str, above: int, place: Path) -> int:
    try:
        return os.open(name, _FLAGS, dir_fd=above)
    except OSError as exc:
        if exc.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        raise MachineFailed("mount-path-link", f"{place} is a link, or not a directory", fix="remove it") from exc


def _mount_id(descriptor: int) -> int:
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("mnt_id:"))
