"""Migration of a PostgreSQL database to this version."""

from __future__ import annotations

from typing import Any

from whence_aggregator.storage import named_queries
from whence_aggregator.storage.named_queries import OpenMode
from whence_aggregator.storage.postgres_statements import SEQUENCER_LOCK


async def migrate(connection: Any, mode: OpenMode) -> None:
    """Migrate the tables to the newest version; if they have it, no right to create tables is needed."""
    steps = named_queries.migrations("postgres")
    version = await _version(connection)
    if version == steps[-1][0]:
        return
    named_queries.check_version(version, steps, mode)
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", SEQUENCER_LOCK)
        await connection.execute("create table if not exists migration (number bigint primary key)")
        version = await _version(connection)
        named_queries.check_version(version, steps, mode)
        for number, sql in steps:
            if number > version:
                await connection.execute(sql)
                await connection.execute("insert into migration (number) values ($1)", number)


async def _version(connection: Any) -> int:
    """Return the version of the tables; 0 when there are none."""
    if not await connection.fetchval("select to_regclass('migration') is not null"):
        return 0
    return int(await connection.fetchval("select coalesce(max(number), 0) from migration"))
