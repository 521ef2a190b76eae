"""Memory that was freed goes back to the system: glibc keeps what it once had, up to all that a flood made it take."""

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
"""Above the size of what services keep, and not above that of what they read from the network at once."""
_TURNS_OFF_MAX = 64
_M_MMAP_THRESHOLD = -3
"""Of mallopt(3); a threshold that is set stays, the default grows up to 32 MiB."""
_STATM = Path("/proc/self/statm")
_SMAPS = Path("/proc/self/smaps")
_MADV_DONTNEED = 4


class FreedMemory:
    """Has freed memory returned while the process is larger by `growth_bytes_min` than the least it ever was.

    Where that brings nothing the memory is in use: the next time is put off, ever longer, until it shrinks.
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
        """Take a turn. The heap is walked in a thread of its own: a large one takes milliseconds."""
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
    """Have glibc take memory for bodies from the system and return it when freed, and not keep it for the next ones.

    Without this a flood of bodies made a process four times as large as what it held. Called once, at the start.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, MMAP_BYTES_MIN)


def resident_bytes() -> int:
    """Return this process's resident memory; 0 where there is no /proc."""
    try:
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def malloc_trim() -> None:
    """Call glibc's; another C library has none, and gives memory back by itself."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@dataclass(frozen=True, slots=True)
class FileMapping:
    """A part of a file in this process's memory, which nobody has written to."""

    start: int
    length: int
    path: str


def give_back(stable: Collection[FileMapping]) -> None:
    """Return what a long start left behind: garbage, freed memory, and pages of files that were used only then.

    Those pages come back from the page cache, one by one, when they are used again. `stable` are the mappings of files
    some time ago: one that is younger may be about to be written to by the dynamic loader, and would lose that.
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
    """Return the read-only mappings of files that no page was written to; nothing where there is no /proc."""
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
