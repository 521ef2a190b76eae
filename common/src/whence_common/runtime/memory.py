"""Return freed memory to the system: without it, glibc keeps memory that was allocated during a flood."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

GROWTH_BYTES_MIN = 24 * 1024 * 1024
MMAP_BYTES_MIN = 64 * 1024
"""Larger than most objects that services keep, and at most the size of one read from the network."""
_TURNS_OFF_MAX = 64
_M_MMAP_THRESHOLD = -3
"""See mallopt(3): a configured threshold is fixed; the default one grows up to 32 MiB."""
_STATM = Path("/proc/self/statm")
_SMAPS = Path("/proc/self/smaps")
_MADV_DONTNEED = 4


class FreedMemory:
    """Returns freed memory while the process is larger by `growth_bytes_min` than its smallest size so far.

    If this frees nothing, the memory is in use: the next attempts are postponed with backoff until the process shrinks.
    """

    def __init__(
        self,
        *,
        resident_bytes: Callable[[], int],
        trim: Callable[[], object],
        growth_bytes_min: int = GROWTH_BYTES_MIN,
    ) -> None:
        self._resident_bytes = resident_bytes
        self._trim = trim
        self._growth_bytes_min = growth_bytes_min
        self._least_bytes = resident_bytes()
        self._turns_off = self._turns_left = 0
        self._seen_bytes = self._least_bytes

    async def give_back(self) -> None:
        """Return freed memory if it is time to. Trimming runs in a thread: it takes milliseconds on a large heap."""
        before = self._resident_bytes()
        is_shrinking, self._seen_bytes = before < self._seen_bytes, before
        self._least_bytes = min(self._least_bytes, before)
        if before - self._least_bytes < self._growth_bytes_min:
            self._turns_off = self._turns_left = 0
            return
        if self._turns_left > 0 and not is_shrinking:
            self._turns_left -= 1
            return
        gc.collect()  # all generations: what a flood left is older than the youngest
        await asyncio.to_thread(self._trim)
        after = self._resident_bytes()
        if before - after >= self._growth_bytes_min:
            self._turns_off = 0
            log.info("memory given back", extra=fields(before_bytes=before, after_bytes=after))
            return
        self._turns_off = self._turns_left = min(_TURNS_OFF_MAX, max(1, self._turns_off * 2))


def keep_little() -> None:
    """Make glibc allocate large blocks by mmap, so that they return to the system when freed. Call it at the start.

    Without this, a flood of request bodies left a process four times as large as its live memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MMAP_BYTES_MIN)


def resident_bytes() -> int:
    """Return this process's resident memory; 0 without /proc."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def malloc_trim() -> None:
    """Call glibc's malloc_trim(3); other C libraries do not have it, and return memory by themselves."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@dataclass(frozen=True, slots=True)
class FileMapping:
    """A file mapping of this process without modified pages."""

    start: int
    length: int
    path: str


def give_back(stable: Collection[FileMapping]) -> None:
    """Return memory that only the start needed: garbage, freed memory, and resident pages of files.

    Such a page is loaded from the page cache when it is used again. `stable` are the mappings at an earlier time: the
    dynamic loader may be about to write to a newer one, and the write would be lost.
    """
    gc.collect()
    malloc_trim()
    advise = getattr(ctypes.CDLL(None), "madvise", None)
    if advise is None:
        return
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for one in unwritten_mappings() & frozenset(stable):
        advise(one.start, one.length, _MADV_DONTNEED)


def unwritten_mappings() -> frozenset[FileMapping]:
    """Return the read-only file mappings without modified pages; an empty set without /proc."""
    try:
        lines = _SMAPS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return frozenset()
    found, current = set(), None
    for line in lines:
        words = line.split(maxsplit=5)
        if not words[0].endswith(":"):
            start, _, end = words[0].partition("-")
            current = None
            if len(words) == 6 and words[1] in ("r-xp", "r--p") and words[5].startswith("/"):
                current = FileMapping(int(start, 16), int(end, 16) - int(start, 16), words[5])
        elif current is not None and words[:2] == ["Anonymous:", "0"]:
            found.add(current)
    return frozenset(found)
