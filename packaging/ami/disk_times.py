"""Times in a disk: none is later than the image's, so that the same root makes the same disk at any time."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

_FREE = re.compile(r"^  Free inodes: ?(.*)$", re.MULTILINE)
_COUNT = re.compile(r"^Inode count: +([0-9]+)$", re.MULTILINE)
_ROOT_INODE, _FIRST_INODE = 2, 11
"""The inodes between them are the file system's own (linux/Documentation/filesystems/ext4/special_inodes.rst)."""


def limit_times(root: Path, latest: int) -> None:
    """Set the times of a root's files and folders that were modified later to `latest`, in seconds since 1970."""
    for path in (root, *root.rglob("*")):
        if path.lstat().st_mtime_ns > latest * 10**9:
            os.utime(path, (latest, latest), follow_symlinks=False)


def set_times(disk: Path, offset: int, at: int) -> None:
    """Set when each file of an ext4 file system was changed and read: mkfs.ext4 copies what the kernel has of the root.

    Raises CalledProcessError with what the tool printed.
    """
    place = f"{disk}?offset={offset}"
    commands = [f"set_current_time @{at}\n"]
    for inode in _used(_run("dumpe2fs", place)):
        commands += [f"set_inode_field <{inode}> {name} @{at}\n" for name in ("ctime", "atime")]
        commands += [f"set_inode_field <{inode}> {name}_extra 0\n" for name in ("ctime", "atime")]
    _run("debugfs", "-w", "-f", "/dev/stdin", place, given="".join(commands))


def _used(shown: str) -> Iterator[int]:
    """Yield the inodes of files and folders, as dumpe2fs shows which are free."""
    free = set[int]()
    for ranges in _FREE.findall(shown):
        for one in filter(None, ranges.split(", ")):
            first, _, last = one.partition("-")
            free.update(range(int(first), int(last or first) + 1))
    count = int(_COUNT.findall(shown)[0])
    yield from (one for one in (_ROOT_INODE, *range(_FIRST_INODE, count + 1)) if one not in free)


def _run(*command: str, given: str = "") -> str:
    environment = {**os.environ, "PATH": f"/usr/sbin:/sbin:{os.environ.get('PATH', '')}", "LC_ALL": "C"}
    done = subprocess.run(command, check=True, input=given, text=True, capture_output=True, env=environment)
    return done.stdout
