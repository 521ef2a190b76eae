"""Group commit: one transaction for all that waited, a bound on what waits, and an answer for everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest

from whence_aggregator.agents.group_commit import GroupCommit
from whence_aggregator.ports import Overloaded, StorageUnavailable
from whence_common.errors import InputError, RoadError


class Commits:
    """Takes batches; `gate` holds the next one back."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.started = 0

    async def __call__(self, batch: Sequence[int]) -> Sequence[int | Exception]:
        self.started += 1
        await self.gate.wait()
        self.batches.append(list(batch))
        if -1 in batch:
            raise RuntimeError("the whole batch")
        return [ValueError(str(one)) if one == 13 else one * 2 for one in batch]


async def test_what_waits_is_one_batch_and_each_gets_its_own_result() -> None:
    commits = Commits()
    group = GroupCommit[int, int](commits, batch_max=4, queue_max=100)
    running = asyncio.create_task(group.run())
    results = await asyncio.gather(*(group.submit(n) for n in range(10)))
    assert results == [n * 2 for n in range(10)]
    assert commits.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    with pytest.raises(ValueError, match="13"):
        await group.submit(13)
    with pytest.raises(RuntimeError):
        await group.submit(-1)
    assert await group.submit(4) == 8
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_more_than_can_wait_is_refused_with_a_time() -> None:
    commits = Commits()
    commits.gate.clear()
    group = GroupCommit[int, int](commits, batch_max=2, queue_max=4)
    running = asyncio.create_task(group.run())
    waiting = [asyncio.create_task(group.submit(n)) for n in range(12)]
    refused = [task for task in (await asyncio.wait(waiting, timeout=0.2))[0] if task.exception()]
    assert len(refused) >= 6
    assert all(isinstance(one.exception(), Overloaded) for one in refused)
    assert all(getattr(one.exception(), "retry_after_seconds", 0) >= 1 for one in refused)
    commits.gate.set()
    kept = [task for task in waiting if task not in refused]
    assert len(await asyncio.gather(*kept)) == len(kept)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_the_next_batches_start_while_earlier_ones_are_under_way() -> None:
    commits = Commits()
    commits.gate.clear()
    group = GroupCommit[int, int](commits, batch_max=2, queue_max=100, at_once=3)
    running = asyncio.create_task(group.run())
    waiting = [asyncio.create_task(group.submit(n)) for n in range(10)]
    await asyncio.wait(waiting, timeout=0.01)
    assert commits.started == 3
    commits.gate.set()
    assert await asyncio.gather(*waiting) == [n * 2 for n in range(10)]
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_a_cancelled_caller_does_not_affect_the_others() -> None:
    commits = Commits()
    commits.gate.clear()
    group = GroupCommit[int, int](commits, batch_max=10, queue_max=10)
    running = asyncio.create_task(group.run())
    first, second = asyncio.create_task(group.submit(1)), asyncio.create_task(group.submit(2))
    await asyncio.wait([first], timeout=0.01)
    first.cancel()
    commits.gate.set()
    assert await second == 4
    with suppress(asyncio.CancelledError):
        await first
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_waiting_commands_are_refused_when_the_service_stops() -> None:
    commits = Commits()
    commits.gate.clear()
    group = GroupCommit[int, int](commits, batch_max=1, queue_max=10)
    running = asyncio.create_task(group.run())
    waiting = [asyncio.create_task(group.submit(n)) for n in range(3)]
    await asyncio.wait(waiting, timeout=0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(one, Overloaded) for one in results)


class Fragile:
    """Fails as a whole while a poisonous command is in the batch, or while it is away."""

    def __init__(self, *, poison: Callable[[int], bool], error: Exception) -> None:
        self.poison = poison
        self.error = error
        self.attempts = 0

    async def __call__(self, batch: Sequence[int]) -> Sequence[int | Exception]:
        self.attempts += 1
        if any(map(self.poison, batch)):
            raise self.error
        return [one * 2 for one in batch]


async def committed(commits: Fragile, commands: int) -> list[int | BaseException]:
    group = GroupCommit[int, int](commits, batch_max=96, queue_max=1_000)
    running = asyncio.create_task(group.run())
    results = await asyncio.gather(*(group.submit(n) for n in range(commands)), return_exceptions=True)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return results


@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), InputError("text-unstorable", "no"), RoadError("verifier-ended", "it ended")]
)
async def test_a_batch_that_fails_is_split_until_the_bad_one_stands_alone(error: Exception) -> None:
    commits = Fragile(poison=lambda n: n == 41, error=error)
    results = await committed(commits, 96)
    assert results[41] is error
    assert [one for n, one in enumerate(results) if n != 41] == [n * 2 for n in range(96) if n != 41]
    assert commits.attempts < 20


async def test_several_bad_ones_are_each_found() -> None:
    commits = Fragile(poison=lambda n: n % 10 == 0, error=RuntimeError("a bug"))
    results = await committed(commits, 96)
    assert [n for n, one in enumerate(results) if isinstance(one, RuntimeError)] == list(range(0, 96, 10))


async def test_an_outage_of_the_storage_is_not_split() -> None:
    commits = Fragile(poison=lambda _: True, error=StorageUnavailable("storage-postgres", "away"))
    results = await committed(commits, 96)
    assert all(isinstance(one, StorageUnavailable) for one in results)
    assert commits.attempts == 1


async def test_a_verifier_that_is_away_altogether_is_asked_three_times_and_no_more() -> None:
    commits = Fragile(poison=lambda _: True, error=RoadError("verifier-ended", "it ended"))
    assert all(isinstance(one, RoadError) for one in await committed(commits, 96))
    assert commits.attempts == 3
