"""The state of a PostgreSQL database, and the rights of its role: read on one connection, without changes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg

from whence_aggregator.storage.postgres_errors import unavailable
from whence_aggregator.storage.postgres_login import login

_SECONDS_MAX = 15.0
_APPEND_ONLY = ("entry", "tile", "checkpoint")
"""The tables of the log, from which nothing is deleted."""
_STATE = """
select current_setting('server_version_num')::int / 10000 as server, current_user as role,
    coalesce(has_schema_privilege(current_schema(), 'create'), false) as may_create,
    pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool as read_only,
    coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false) as encrypted,
    least(
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
        (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user),
        (select nullif(datconnlimit, -1) from pg_database where datname = current_database())
    ) as connections_max,
    to_regclass('migration') is not null as made
"""
_DENIED = """
select c.relname as name, r.privilege from pg_class c
join pg_class m on m.oid = to_regclass('migration') and m.relnamespace = c.relnamespace
cross join unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE']) as r(privilege)
where c.relkind in ('r', 'p') and (c.relname <> 'migration' or r.privilege = 'SELECT')
    and not (r.privilege = 'DELETE' and c.relname = any($1)) and not has_table_privilege(c.oid, r.privilege)
order by 1, 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresState:
    """`version` is the newest migration, 0 in an empty database; `denied` lists missing rights as `table (RIGHT)`."""

    server: int
    role: str
    version: int
    may_create: bool
    read_only: bool
    encrypted: bool
    connections_max: int
    denied: tuple[str, ...]


async def read_state(dsn: str) -> PostgresState:
    """Connect, and return the state. Raises StorageUnavailable; its message never contains the DSN."""
    try:
        async with asyncio.timeout(_SECONDS_MAX):
            place, password = login(dsn)
            connection = await asyncpg.connect(place, **password)
            try:
                state = await connection.fetchrow(_STATE)
                made = state["made"]
                may_read = made and await connection.fetchval("select has_table_privilege('migration', 'SELECT')")
                denied = await connection.fetch(_DENIED, _APPEND_ONLY) if made else []
                newest = "select coalesce(max(number), 0) from migration"
                version = int(await connection.fetchval(newest)) if may_read else 0
            finally:
                await connection.close(timeout=1)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError, TimeoutError) as exc:
        raise unavailable(exc) from exc
    return PostgresState(
        server=state["server"],
        role=state["role"],
        version=version,
        may_create=state["may_create"],
        read_only=state["read_only"],
        encrypted=state["encrypted"],
        connections_max=state["connections_max"],
        denied=tuple(f"{row['name']} ({row['privilege']})" for row in denied),
    )
