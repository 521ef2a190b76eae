"""What the aggregator may rely on in a store: reads together, writes whole or not at all, one writer at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fakes.in_process import InProcess
from whence_aggregator.ports import Database, WriteConflict
from whence_aggregator.queries.agents import HEAR, HearParameters
from whence_aggregator.queries.collect import FACTS_NOW
from whence_aggregator.queries.compliance import TALLIES
from whence_aggregator.queries.ledger import (
    ADD_CLOCK,
    CLOCK_PAST,
    ENTRIES_FROM,
    AddClockParameters,
    EntriesFromParameters,
)
from whence_aggregator.queries.query import BoundQuery, each, together
from whence_aggregator.queries.trace import INSTANCES_NOW, SEEN
from whence_common.storable import Unstorable

GOOD = TALLIES.bind({})


def clock(number: int) -> AddClockParameters:
    return {"ledger_index": number, "recorded_at": number, "latest": number}


FIRST, SECOND, THIRD = clock(1), clock(2), clock(3)


async def earliest(database: Database) -> list[int]:
    """Return the first entry with a clock, if there is any."""
    return [row["ledger_index"] for row in await database.fetch(CLOCK_PAST.bind({"at": 0}))]


async def begin_and_fail(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(ADD_CLOCK.bind([FIRST, SECOND]))
        raise ZeroDivisionError


async def write_twice(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(ADD_CLOCK.bind([SECOND]), ADD_CLOCK.bind([FIRST]))
        await transaction.finish(ADD_CLOCK.bind([FIRST]))


async def test_what_is_asked_together_is_answered_as_it_is_one_by_one(house: InProcess) -> None:
    """Bytes, numbers beyond 2**53, nulls, order, nothing at all, and the same question twice."""
    store = house.database
    for number in range(12):
        await house.say(await house.machine(f"i-{number:017x}"), observed_at="0001-01-01T00:00:00.000Z")
    entries: EntriesFromParameters = {"first": 0, "past": 30, "limit": 40}
    asked: list[BoundQuery[Any]] = [
        ENTRIES_FROM.bind(entries),
        FACTS_NOW.bind({"kind": "commit", "subjects": '["none"]'}),
        TALLIES.bind({}),
        ENTRIES_FROM.bind({**entries, "first": 7}),
        INSTANCES_NOW.bind(
            {"after": 3, "limit": 5, "cause": None, "ami": None, "first": 0, "before": 2**62, "silent_before": 0}
        ),
        SEEN.bind({"instance_ids": '["i-00000000000000003"]'}),
    ]
    for brief in (False, True):
        at_once = await store.fetch_all(each(asked), brief=brief)
        one_by_one = [await store.fetch(one) for one in asked]
        assert [list(map(dict, rows)) for rows in at_once] == [list(map(dict, rows)) for rows in one_by_one]
    assert [len(rows) for rows in at_once] == [26, 0, 2, 19, 5, 1]
    assert max(abs(row["digest_head"]) for row in at_once[0]) > 2**53


async def test_what_is_asked_together_fails_together(database: Database) -> None:
    with pytest.raises(Unstorable):
        await database.fetch_all(together(GOOD, ENTRIES_FROM.bind({"first": 2**80, "past": 0, "limit": 1})))
    assert [list(rows) for rows in await database.fetch_all(together(GOOD, GOOD))] == [[], []]


async def test_a_failed_transaction_leaves_no_rows_and_blocks_no_other(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        await begin_and_fail(database)
    assert await earliest(database) == []
    await database.write(ADD_CLOCK.bind([THIRD]))
    assert await earliest(database) == [3]


async def test_a_row_that_is_there_already_is_a_conflict_and_nothing_is_written(database: Database) -> None:
    with pytest.raises(WriteConflict):
        await write_twice(database)
    assert await earliest(database) == []


async def test_what_is_not_committed_is_seen_inside_its_transaction_alone(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute(ADD_CLOCK.bind([FIRST]))
        assert [row["ledger_index"] for row in await transaction.fetch(CLOCK_PAST.bind({"at": 0}))] == [1]
        assert await earliest(database) == []
    assert await earliest(database) == [1]


async def test_finishing_commits_before_the_transaction_is_left(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.finish(ADD_CLOCK.bind([SECOND, FIRST]))
        assert await earliest(database) == [1]


async def test_a_second_transaction_reads_what_the_first_has_committed(database: Database) -> None:
    begun = asyncio.Event()

    async def second() -> list[int]:
        await begun.wait()
        async with database.transaction() as transaction:
            return [row["ledger_index"] for row in await transaction.fetch(CLOCK_PAST.bind({"at": 0}))]

    waiting = asyncio.create_task(second())
    async with database.transaction() as transaction:
        await transaction.execute(ADD_CLOCK.bind([FIRST]))
        begun.set()
        assert await earliest(database) == []
    assert await waiting == [1]


def beat(number: int, counter: int) -> HearParameters:
    return {
        "instance_id": f"i-{number:017x}", "seen_at": counter, "enrolment": 1, "seal": b"s", "counter": counter,
        "skew_millis": 0, "skew_confirmed": 0, "beat_seal": b"b",
    }  # fmt: skip


async def test_of_the_rows_that_are_written_those_that_moved_something_are_returned(database: Database) -> None:
    async def moved(*rows: HearParameters) -> list[str]:
        return sorted(row["instance_id"] for row in await database.write_returning(HEAR, rows))

    assert await moved(beat(1, 5), beat(2, 5)) == ["i-00000000000000001", "i-00000000000000002"]
    assert await moved(beat(1, 5), beat(2, 6), beat(3, 1)) == ["i-00000000000000002", "i-00000000000000003"]
    assert await moved(beat(1, 4)) == []
