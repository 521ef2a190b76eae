"""Freed memory is given back once a process has grown, and the heap is not walked for nothing."""

from __future__ import annotations

import subprocess
import sys

from whence_common.runtime.memory import FreedMemory


class Process:
    """One whose resident memory a test sets; trimming brings it down to `live`."""

    def __init__(self, resident: int) -> None:
        self.resident = self.live = resident
        self.trimmed = 0

    def trim(self) -> None:
        self.trimmed += 1
        self.resident = self.live

    def freed(self) -> FreedMemory:
        return FreedMemory(resident_bytes=lambda: self.resident, trim=self.trim, growth_bytes_min=100)


async def test_memory_is_returned_after_growth() -> None:
    process = Process(1_000)
    freed = process.freed()
    process.resident = 1_100
    await freed.give_back()
    assert (process.trimmed, process.resident) == (1, 1_000)


async def test_little_growth_is_ignored() -> None:
    process = Process(1_000)
    freed = process.freed()
    process.resident = 1_099
    await freed.give_back()
    assert process.trimmed == 0


async def test_attempts_for_memory_in_use_back_off() -> None:
    process = Process(1_000)
    freed = process.freed()
    process.resident = process.live = 2_000
    trimmed = []
    for _ in range(16):
        await freed.give_back()
        trimmed.append(process.trimmed)
    assert trimmed == [1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4]


async def test_memory_in_use_during_a_flood_is_returned_after_it() -> None:
    process = Process(1_000)
    freed = process.freed()
    process.resident = process.live = 2_000
    await freed.give_back()
    process.live = 1_000
    for _ in range(2):
        await freed.give_back()
    assert process.resident == 1_000


async def test_growth_counts_from_the_least_that_was_resident() -> None:
    process = Process(1_000)
    freed = process.freed()
    process.resident = 500
    await freed.give_back()
    process.resident = 600
    await freed.give_back()
    assert process.trimmed == 1


_IN_A_NEW_PROCESS = """
from whence_common.runtime.memory import keep_little, malloc_trim, resident_bytes
keep_little()
before = resident_bytes()
blocks = [b"x" * (200 * 1024 + number) for number in range(300)]
held = resident_bytes() - before
del blocks[::2]
half = resident_bytes() - before
blocks.clear()
malloc_trim()
print(held >> 20, half >> 20, (resident_bytes() - before) >> 20)
"""


def test_large_blocks_go_back_to_the_system_when_they_are_freed() -> None:
    """In a process that has no free memory of before to take them from."""
    done = subprocess.run([sys.executable, "-c", _IN_A_NEW_PROCESS], capture_output=True, text=True, check=True)
    held, half, after = map(int, done.stdout.split())
    assert held > 40
    assert half < 40
    assert after < 8
