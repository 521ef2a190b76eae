"""Answers of outside sources wait in memory and are written many at a time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.clocks import FakeClock
from whence_aggregator.collect.kept_answers import KeptAnswer, KeptAnswers
from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.storage.sqlite import SqliteDatabase


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[SqliteDatabase]:
    database = await SqliteDatabase.open(directory / "ledger.db", "make")
    yield database
    await database.close()


def an_answer(text: str) -> KeptAnswer:
    return KeptAnswer(etag=f'"{text}"', next="", kept_at=0, body=text.encode())


async def bodies(kept: KeptAnswers, *names: str) -> list[bytes | None]:
    found = [await kept.of(f"https://tracker.example.org/{name}", "robot") for name in names]
    return [one.body if one is not None else None for one in found]


async def keep(kept: KeptAnswers, name: str, text: str = "") -> None:
    await kept.keep(f"https://tracker.example.org/{name}", "robot", an_answer(text or name))


async def test_an_answer_is_served_before_it_is_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        clock = FakeClock()
        kept, other = KeptAnswers(database=database, now=clock), KeptAnswers(database=database, now=clock)
        await keep(kept, "a")
        assert await bodies(kept, "a") == [b"a"]
        assert await bodies(other, "a") == [None]


async def test_answers_are_written_together_once_so_many_wait(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        clock = FakeClock()
        kept = KeptAnswers(database=database, now=clock, unwritten_max=3)
        other = KeptAnswers(database=database, now=clock)
        for name in ("a", "b"):
            await keep(kept, name)
        assert await bodies(other, "a", "b") == [None, None]
        await keep(kept, "c")
        assert await bodies(other, "a", "b", "c") == [b"a", b"b", b"c"]


async def test_answers_are_written_once_their_bodies_are_large(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        clock = FakeClock()
        kept = KeptAnswers(database=database, now=clock, unwritten_bytes_max=1)
        await keep(kept, "a")
        assert await bodies(KeptAnswers(database=database, now=clock), "a") == [b"a"]


async def test_answers_that_wait_for_ten_seconds_are_written_with_the_next(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        clock = FakeClock()
        kept, other = KeptAnswers(database=database, now=clock), KeptAnswers(database=database, now=clock)
        await keep(kept, "a")
        clock.advance(10)
        await keep(kept, "b")
        assert await bodies(other, "a", "b") == [b"a", b"b"]


async def test_the_newer_answer_of_a_url_is_the_one_that_is_written(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        clock = FakeClock()
        kept = KeptAnswers(database=database, now=clock)
        await keep(kept, "a", "old")
        await keep(kept, "a", "new")
        await kept.close()
        assert await bodies(KeptAnswers(database=database, now=clock), "a") == [b"new"]
        assert await bodies(kept, "a") == [b"new"]


async def test_answers_of_many_at_once_are_all_kept(tmp_path: Path) -> None:
    async with opened(tmp_path) as database:
        clock = FakeClock()
        kept = KeptAnswers(database=database, now=clock, unwritten_max=4)
        names = [str(number) for number in range(50)]
        await asyncio.gather(*(keep(kept, name) for name in names))
        await kept.close()
        found = await bodies(KeptAnswers(database=database, now=clock), *names)
        assert found == [name.encode() for name in names]


async def test_answers_that_cannot_be_written_are_dropped_and_do_not_fail_the_end_of_the_program(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as database:
        with sqlite3.connect(tmp_path / "ledger.db") as other:
            other.execute("drop table outside_answer")
        other.close()
        kept = KeptAnswers(database=database, now=FakeClock(), unwritten_max=2)
        await keep(kept, "a")
        with pytest.raises(StorageUnavailable):
            await keep(kept, "b")
        await keep(kept, "c")
        await kept.close()
