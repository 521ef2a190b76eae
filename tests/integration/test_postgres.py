"""What holds on PostgreSQL only: how its planner is asked, who waits for whom, and what is left of a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from landscape.postgres import drop_database, new_database
from whence_aggregator.ports import WriteConflict
from whence_aggregator.queries.ledger import ADD_CLOCK, LAST_INDEX, PUT_TILE, AddClockParameters
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN, AddTaskUnlessKnownParameters
from whence_aggregator.storage.postgres import PostgresDatabase

TASK: AddTaskUnlessKnownParameters = {
    "kind": "commit",
    "subject": "x",
    "due_at": "2026-11-22T12:00:00.000Z",
    "lane": "a",
    "host": "x",
}
CLOCK: AddClockParameters = {"ledger_index": 0, "recorded_at": 1, "latest": 1}
WAITING = "select query from pg_stat_activity where wait_event = 'advisory'"


@pytest.fixture
async def dsn(postgres_dsn: str) -> AsyncIterator[str]:
    yield await new_database(postgres_dsn, "planned")
    await drop_database(postgres_dsn, "planned")


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[PostgresDatabase]:
    opened = await PostgresDatabase.open(dsn)
    yield opened
    await opened.close()


async def begin_and_fail(store: PostgresDatabase) -> None:
    async with store.transaction() as transaction:
        await transaction.execute(ADD_TASK_UNLESS_KNOWN.bind([TASK]))
        raise ZeroDivisionError


async def at_once(store: PostgresDatabase) -> None:
    """Write what needs nothing to be read first."""
    async with store.transaction() as transaction:
        await transaction.finish(ADD_CLOCK.bind([CLOCK]), PUT_TILE.bind([{"level": 0, "number": 0, "hashes": b""}]))


async def who_waits(store: PostgresDatabase) -> str:
    """Give the statement that waits for the one that appends, once there is one."""
    async with asyncio.timeout(10):
        while not (found := await store.pool.fetch(WAITING)):
            pass
    return str(found[0]["query"])


async def test_look_ups_are_planned_for_what_they_ask_and_writes_for_any_parameters(store: PostgresDatabase) -> None:
    assert await store.pool.fetchval("show plan_cache_mode") == "force_custom_plan"
    assert await store.writers.fetchval("show plan_cache_mode") == "auto"


async def test_bytes_come_back_whatever_the_databases_own_way_to_write_them(
    store: PostgresDatabase, dsn: str, authority: SigningAuthority
) -> None:
    await store.pool.execute("alter database planned set bytea_output = 'escape'")
    opened = await PostgresDatabase.open(dsn)
    try:
        async with InProcess(opened, authority).running() as house:
            await house.say(await house.machine())
            assert (await house.lineage()).link("instance").state == "confirmed"
    finally:
        await opened.close()


async def test_a_transaction_that_fails_leaves_neither_lock_nor_rows(store: PostgresDatabase) -> None:
    with pytest.raises(ZeroDivisionError):
        await begin_and_fail(store)
    assert not await store.pool.fetch("select from pg_locks where locktype = 'advisory'")
    assert not await store.pool.fetch("select from task")


async def test_what_needs_nothing_to_be_read_is_one_statement_and_waits_for_the_replica_that_appends(
    store: PostgresDatabase, dsn: str
) -> None:
    other = await PostgresDatabase.open(dsn)
    async with other.transaction() as appending:
        await appending.fetch(LAST_INDEX.bind({}))
        waiting = asyncio.create_task(at_once(store))
        assert "insert into clock" in await who_waits(store)
        await appending.finish(ADD_CLOCK.bind([CLOCK]))
    with pytest.raises(WriteConflict):
        await waiting
    await other.close()
    assert not await store.pool.fetch("select from tile")
