"""Repositories of ours that are kept between questions: bounded on disk, least recently used ones removed first.

A repository is used by one question at a time, of all processes: a lock of the kernel, which also the processes of git
hold, is released when the last of them has ended, however it ended. Whoever has the lock may therefore remove what an
interrupted fetch left behind, which git itself never does.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CACHE_BYTES_MAX = 2 * 1024 * 1024 * 1024
PACKS_MAX = 50
"""Each fetch leaves a pack, and git has to look into each: a repository with more is made anew."""
WAIT_SECONDS_MAX = 120.0
"""How long a question waits for another of the same repository, before it uses a repository of its own."""
_LOCKS = 256
"""Lock files are never removed, so their number is bounded: repositories share them."""
_CLEAN_SECONDS = 60.0
_LEFT_BEHIND = ("*.lock", "refs/**/*.lock", "objects/pack/tmp_*", "objects/pack/*.temp", "objects/??/tmp_obj_*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptPlace:
    """A directory to work in: a repository that is kept, or an empty one that is removed afterwards."""

    directory: str
    is_new: bool
    held: tuple[int, ...] = ()
    """The lock's file descriptor, for the processes that work in the directory."""


class NoGitCache:
    """Keeps nothing: each question has a repository of its own."""

    @asynccontextmanager
    async def place(self, _name: str) -> AsyncIterator[KeptPlace]:
        """Return an empty directory, which is removed afterwards."""
        with temporary() as place:
            yield place

    def forget(self, _name: str) -> None:
        """Remove nothing."""


class GitCache:
    """Keeps repositories by name, below one directory that only the aggregator writes."""

    def __init__(
        self, directory: Path, *, seconds: Callable[[], float], now: Callable[[], float],
        bytes_max: int = CACHE_BYTES_MAX, packs_max: int = PACKS_MAX, wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:  # fmt: skip
        """`now`: the time of day in seconds since 1970, as the file system has it."""
        self._repositories = directory / "repositories"
        self._locks = directory / "locks"
        self._trash = directory / "removed"
        self._seconds = seconds
        self._now = now
        self._bytes_max = bytes_max
        self._packs_max = packs_max
        self._wait_seconds_max = wait_seconds_max
        self._turns = [asyncio.Lock() for _ in range(_LOCKS)]
        self._cleaned_at = -_CLEAN_SECONDS
        self._cleaning = asyncio.Lock()
        for one in (self._repositories, self._locks, self._trash):
            one.mkdir(mode=0o700, parents=True, exist_ok=True)

    @asynccontextmanager
    async def place(self, name: str) -> AsyncIterator[KeptPlace]:
        """Return the place of a repository, which nobody else uses meanwhile.

        If it is in use for long, or by another process, an empty directory that is removed afterwards.
        """
        key = _key(name)
        turn = self._turns[_slot(key)]
        async with _turn(turn, self._wait_seconds_max) as mine:
            descriptor = self._locked(_slot(key)) if mine else None
            if descriptor is None:
                with temporary() as place:
                    yield place
                return
            try:
                yield await asyncio.to_thread(self._prepared, key, descriptor)
            finally:
                os.close(descriptor)
        await self._clean()

    def forget(self, name: str) -> None:
        """Remove a repository that is damaged. Its place must be held."""
        self._remove(self._repositories / _key(name))

    async def _clean(self) -> None:
        """Remove what is above the bound, not more often than once a minute."""
        if self._seconds() - self._cleaned_at < _CLEAN_SECONDS or self._cleaning.locked():
            return
        async with self._cleaning:
            self._cleaned_at = self._seconds()
            await asyncio.to_thread(self.clean)

    def clean(self) -> None:
        """Remove the repositories that were used least recently until the rest is within the bound."""
        for one in self._trash.iterdir():
            shutil.rmtree(one, ignore_errors=True)
        found = sorted(self._sizes(), key=lambda one: one[1])
        total = sum(size for _, _, size in found)
        for path, _, size in found:
            if total <= self._bytes_max:
                return
            descriptor = self._locked(_slot(path.name))
            if descriptor is None:
                continue  # in use, so it is not the least recently used any more
            try:
                self._remove(path)
                total -= size
            finally:
                os.close(descriptor)

    def _sizes(self) -> Iterator[tuple[Path, float, int]]:
        for path in self._repositories.iterdir():
            with suppress(OSError):
                yield path, path.stat().st_mtime, size_of(path)

    def _prepared(self, key: str, descriptor: int) -> KeptPlace:
        """Return a repository without what an interrupted fetch left in it."""
        path = self._repositories / key
        for pattern in _LEFT_BEHIND:
            for left in path.glob(pattern):
                left.unlink(missing_ok=True)
        whole = path.is_dir() and (path / "config").is_file() and (path / "HEAD").is_file()
        if path.exists() and (not whole or len(list(path.glob("objects/pack/*.pack"))) > self._packs_max):
            self._remove(path)
        is_new = not path.exists()
        path.mkdir(mode=0o700, exist_ok=True)
        os.utime(path, (self._now(), self._now()))
        return KeptPlace(directory=str(path), is_new=is_new, held=(descriptor,))

    def _remove(self, path: Path) -> None:
        """Remove a repository: moved away first, so that no half of one is ever used."""
        with suppress(FileNotFoundError):
            moved = Path(tempfile.mkdtemp(dir=self._trash)) / path.name
            path.rename(moved)
            shutil.rmtree(moved.parent, ignore_errors=True)

    def _locked(self, slot: int) -> int | None:
        """Return the descriptor of a lock that is now ours; None when another process has it."""
        descriptor = os.open(self._locks / f"{slot:02x}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return descriptor


def size_of(directory: Path) -> int:
    """Return the bytes of all files below a directory."""
    total = 0
    for where, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += Path(where, name).lstat().st_size
    return total


@contextmanager
def temporary() -> Iterator[KeptPlace]:
    with tempfile.TemporaryDirectory(prefix="whence-git-", ignore_cleanup_errors=True) as directory:
        yield KeptPlace(directory=directory, is_new=True)


@asynccontextmanager
async def _turn(lock: asyncio.Lock, seconds_max: float) -> AsyncIterator[bool]:
    """Wait for a lock; return whether it is ours now."""
    try:
        async with asyncio.timeout(seconds_max):
            await lock.acquire()
    except TimeoutError:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def _slot(key: str) -> int:
    return int(key[:2], 16)
