"""The cache of repositories with a hundred of them: memory of the process, and size on disk under its limit."""

from __future__ import annotations

import gc
import shutil
import statistics
import time
from pathlib import Path

from landscape.bare import Bare
from landscape.seeded_history import seeded_history
from whence_aggregator.adapters.git_cache import GitCache, size_of
from whence_aggregator.adapters.git_places import mirror_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_server import GitServerReader
from whence_common.scm_source import SourceRepository

_REPOSITORIES = 100
_COMMITS = 300
_HELD = 20
"""The limit of the cache holds about so many of the repositories."""
_GROWTH_MIB_MAX = 8.0
_CLEAN_SECONDS = 61.0
_HOST = "git.example.org"
_MIB = 1024 * 1024


class _Seconds:
    """A clock that goes on by more than the time between two clean-ups with each look at it."""

    def __init__(self) -> None:
        self._at = 0.0

    def __call__(self) -> float:
        self._at += _CLEAN_SECONDS
        return self._at


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Collect a range of each repository, twice over; print the memory after each tenth, and its growth."""
    del rounds, limit
    source = Bare(directory, "r0")
    history = seeded_history(source, commits_min=_COMMITS, seed=21)
    for number in range(1, _REPOSITORIES):
        shutil.copytree(source.path, directory / f"r{number}.git")
    base, head = next(iter(history.commits)), source.git("rev-parse", "main")
    one = await _collect(directory, directory / "one", 0, (base, head))
    bytes_max = one * _HELD
    cache = GitCache(directory / "cache", seconds=_Seconds(), now=time.time, bytes_max=bytes_max)
    git = _reader(directory, cache)
    memory, disk = [], []
    for number in range(2 * _REPOSITORIES):
        found = await git.between(_repository(number % _REPOSITORIES), base, head)
        assert found.ahead is not None, found.reason
        if number % (_REPOSITORIES // 10) == 9:
            gc.collect()
            memory.append(_resident_mib())
            disk.append(size_of(directory / "cache"))
    print("resident MiB after each ten repositories: " + " ".join(f"{one:.1f}" for one in memory))
    growth = statistics.mean(memory[-5:]) - statistics.mean(memory[1:6])
    kept = "kept" if growth <= _GROWTH_MIB_MAX else "NOT KEPT"
    print(f"growth from the second to the twentieth ten: {growth:.1f} MiB (at most {_GROWTH_MIB_MAX:.0f}): {kept}")
    held = "kept" if max(disk) <= bytes_max else "NOT KEPT"
    print(
        f"on disk at most {max(disk) / _MIB:.1f} MiB of {bytes_max / _MIB:.1f}: {held}; each has {one / _MIB:.2f} MiB"
    )


async def _collect(directory: Path, place: Path, number: int, ends: tuple[str, str]) -> int:
    """Return the size of one repository in a cache of its own."""
    cache = GitCache(place, seconds=time.monotonic, now=time.time)
    await _reader(directory, cache).between(_repository(number), *ends)
    return size_of(place)


def _reader(directory: Path, cache: GitCache) -> GitServerReader:
    places = {_HOST: mirror_place(_HOST, directory=str(directory))}
    return GitServerReader(runs=GitRuns(), places=places, cache=cache)


def _repository(number: int) -> SourceRepository:
    return SourceRepository(host=_HOST, path=f"r{number}")


def _resident_mib() -> float:
    """Return the resident memory of this process: git's own processes have ended."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(one for one in status.splitlines() if one.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
