"""Freed memory is given back once a process has grown, and the heap is not walked for nothing."""

from __future__ import annotations

from whence_common.memory import FreedMemory, keep_little, malloc_trim, resident_bytes


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


async def test_memory_is_given_back_after_growth() -> None:
    process = Process(1_000)
    freed = process.freed()
    process.resident = 1_100
    await freed.give_back()
    assert (process.trimmed, process.resident) == (1, 1_000)


async def test_little_growth_is_left_alone() -> None:
    process = Process(1_000)
    freed = process.freed()
    process.resident = 1_099
    await freed.give_back()
    assert process.trimmed == 0


async def test_a_process_that_needs_its_memory_is_looked_at_ever_more_rarely() -> None:
    process = Process(1_000)
    freed = process.freed()
    process.resident = process.live = 2_000
    trimmed = []
    for _ in range(16):
        await freed.give_back()
        trimmed.append(process.trimmed)
    assert trimmed == [1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4]


async def test_what_was_in_use_during_a_flood_is_given_back_after_it() -> None:
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


def test_large_blocks_go_back_to_the_system_when_they_are_freed() -> None:
    keep_little()
    before = resident_bytes()
    blocks = [b"x" * (200 * 1024 + number) for number in range(300)]
    assert resident_bytes() - before > 40 << 20
    del blocks[::2]
    assert resident_bytes() - before < 40 << 20
    blocks.clear()
    malloc_trim()
    assert resident_bytes() - before < 8 << 20
