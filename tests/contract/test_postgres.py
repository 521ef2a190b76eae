"""What holds on PostgreSQL only: how its planner is asked, who waits for whom, and what is left of a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from landscape.kills import drop_database, new_database
from whence_aggregator.ports import Asked, StorageUnavailable, WriteConflict
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_common.storable import Unstorable

TASK = {"kind": "commit", "subject": "x", "due_at": "2026-11-22T12:00:00.000Z", "lane": "a", "host": "x"}
CLOCK = {"ledger_index": 0, "recorded_at": 1, "latest": 1}
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
        await transaction.execute(("add_task_unless_known", [TASK]))
        raise ZeroDivisionError


async def at_once(store: PostgresDatabase) -> None:
    """Write what needs nothing to be read first."""
    async with store.transaction() as transaction:
        await transaction.finish(("add_clock", [CLOCK]), ("put_tile", [{"level": 0, "number": 0, "hashes": b""}]))


async def who_waits(store: PostgresDatabase) -> str:
    """Give the statement that waits for the one that appends, once there is one."""
    async with asyncio.timeout(10):
        while not (found := await store.pool.fetch(WAITING)):
            pass
    return str(found[0]["query"])


async def test_look_ups_are_planned_for_what_they_ask_and_writes_for_any_parameters(store: PostgresDatabase) -> None:
    assert await store.pool.fetchval("show plan_cache_mode") == "force_custom_plan"
    assert await store.writers.fetchval("show plan_cache_mode") == "auto"


async def test_what_is_asked_together_is_answered_as_it_is_one_by_one(
    store: PostgresDatabase, authority: SigningAuthority
) -> None:
    """Bytes, numbers beyond 2**53, nulls, order, nothing at all, and the same question twice."""
    async with InProcess(store, authority).running() as house:
        for number in range(12):
            await house.say(await house.machine(f"i-{number:017x}"), observed_at="0001-01-01T00:00:00.000Z")
        entries = {"first": 0, "past": 30, "limit": 40}
        asked: list[Asked] = [
            ("entries_from", entries),
            ("facts_now", {"kind": "commit", "subjects": '["none"]'}),
            ("tallies", {}),
            ("entries_from", {**entries, "first": 7}),
            (
                "instances_now",
                {"after": 3, "limit": 5, "cause": None, "ami": None, "first": 0, "before": 2**62, "silent_before": 0},
            ),
            ("seen", {"instance_ids": '["i-00000000000000003"]'}),
        ]
        for brief in (False, True):
            together = await store.fetch_all(asked, brief=brief)
            one_by_one = [await store.fetch(*one) for one in asked]
            assert [list(map(dict, rows)) for rows in together] == [list(map(dict, rows)) for rows in one_by_one]
        assert [len(rows) for rows in together] == [26, 0, 2, 19, 5, 1]
        assert max(abs(row["digest_head"]) for row in together[0]) > 2**53


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


async def test_what_is_asked_together_fails_together(store: PostgresDatabase) -> None:
    good: Asked = ("tallies", {})
    with pytest.raises(Unstorable):
        await store.fetch_all([good, ("entries_from", {"first": 2**80, "past": 0, "limit": 1})])
    assert await store.fetch_all([good, good]) == [[], []]


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
        await appending.fetch("last_index", {})
        waiting = asyncio.create_task(at_once(store))
        assert "insert into clock" in await who_waits(store)
        await appending.finish(("add_clock", [CLOCK]))
    with pytest.raises(WriteConflict):
        await waiting
    await other.close()
    assert not await store.pool.fetch("select from tile")


class DyingPool:
    """A pool whose server said good-bye just as a query was sent: asyncpg calls that an error of its own."""

    async def fetch(self, sql: str, *values: object) -> list[object]:
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")


async def test_a_server_that_shuts_down_in_the_middle_of_a_query_is_away_and_no_bug() -> None:
    pool = DyingPool()
    database = PostgresDatabase(pool, pool, pool)
    with pytest.raises(StorageUnavailable):
        await database.fetch_all([("standing_of_instance", {"instance_id": "i-00000000000000001"})], brief=True)
