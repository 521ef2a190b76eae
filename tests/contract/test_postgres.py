"""What holds on PostgreSQL only: how its planner is asked, and what is left of a transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from landscape.kills import drop_database, new_database
from whence_aggregator.storage.postgres import PostgresDatabase

TASK = {"kind": "commit", "subject": "x", "due_at": "2026-11-22T12:00:00.000Z"}


@pytest.fixture
async def store(postgres_dsn: str) -> AsyncIterator[PostgresDatabase]:
    opened = await PostgresDatabase.open(await new_database(postgres_dsn, "planned"))
    yield opened
    await opened.close()
    await drop_database(postgres_dsn, "planned")


async def planning(store: PostgresDatabase) -> str:
    return str(await store.pool.fetchval("show plan_cache_mode"))


async def begin_and_fail(store: PostgresDatabase) -> None:
    async with store.transaction() as transaction:
        await transaction.execute(("add_task_unless_known", [TASK]))
        raise ZeroDivisionError


async def test_look_ups_are_planned_for_what_they_ask_and_not_for_any_parameters(store: PostgresDatabase) -> None:
    assert await planning(store) == "force_custom_plan"


async def test_a_write_is_planned_once_and_its_setting_ends_with_it(store: PostgresDatabase) -> None:
    await store.write(("add_task_unless_known", [TASK]))
    async with store.transaction() as transaction:
        assert await transaction.fetch("count_tasks", {})
    assert await planning(store) == "force_custom_plan"


async def test_a_transaction_that_fails_leaves_neither_lock_nor_rows_nor_setting(store: PostgresDatabase) -> None:
    with pytest.raises(ZeroDivisionError):
        await begin_and_fail(store)
    assert await planning(store) == "force_custom_plan"
    assert not await store.pool.fetch("select from pg_locks where locktype = 'advisory'")
    assert not await store.pool.fetch("select from task")
