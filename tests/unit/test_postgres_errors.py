"""What PostgreSQL's driver raises, as the ports know it."""

from __future__ import annotations

import asyncpg
import pytest

from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.queries.query import together
from whence_aggregator.queries.registry import STANDING_OF_INSTANCE
from whence_aggregator.storage.postgres import PostgresDatabase


class DyingPool:
    """A pool whose server said good-bye just as a query was sent: asyncpg calls that an error of its own."""

    async def fetch(self, sql: str, *values: object) -> list[object]:
        raise asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")


async def test_a_server_that_shuts_down_in_the_middle_of_a_query_is_away_and_no_bug() -> None:
    pool = DyingPool()
    database = PostgresDatabase(pool, pool, pool)
    asked = STANDING_OF_INSTANCE.bind({"instance_id": "i-00000000000000001"})
    with pytest.raises(StorageUnavailable):
        await database.fetch_all(together(asked), brief=True)
