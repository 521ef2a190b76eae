"""A database made by an earlier version is carried over; one that cannot be understood is refused untouched."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from pathlib import Path

import asyncpg
import pytest

from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.storage import named_queries
from whence_aggregator.storage.named_queries import OpenMode
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase

_BEFORE = 31
"""The schema is there; what refuses changes of the ledger is not yet."""
_FACETS = "insert into facets values (7, 'a', 'r', 'greeter', '1.0', 'sha256:u', 'sha256:i', '')"
_PAGE = {"limit": 10, "offset": 0}


async def carried_over(database: Database) -> None:
    """What stood there is there, and what is new can be used."""
    (row,) = await database.fetch("dump_facets", _PAGE)
    assert list(dict(row).values()) == [7, "a", "r", "greeter", "1.0", "sha256:u", "sha256:i", ""]
    await database.write(("add_facets_image", [{"image_digest": "sha256:s", "facets": 7}]))
    wanted = dict.fromkeys(("application", "version", "account", "region", "user_data"))
    for digest in ("sha256:i", "sha256:s"):
        found = await database.fetch("facets_of_images", {**wanted, "images": f'["{digest}"]', "limit": 10})
        assert [one["number"] for one in found] == [7]


def made_before(path: Path, before: int = _BEFORE) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    for number, sql in named_queries.migrations("sqlite"):
        if number < before:
            connection.executescript(f"{sql}\npragma user_version = {number};")
    return connection


async def test_a_sqlite_file_of_an_earlier_version_is_carried_over(tmp_path: Path) -> None:
    connection = made_before(tmp_path / "ledger.db")
    connection.execute(_FACETS)
    connection.commit()
    connection.close()
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    await carried_over(database)
    await database.close()


async def made_before_in_postgres(postgres_dsn: str, before: int, *rows: str) -> str:
    name = f"test_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"create database {name}")
    await connection.close()
    dsn = postgres_dsn.removesuffix("postgres") + name
    connection = await asyncpg.connect(dsn)
    await connection.execute("create table migration (number bigint primary key)")
    for number, sql in named_queries.migrations("postgres"):
        if number < before:
            await connection.execute(sql)
            await connection.execute("insert into migration (number) values ($1)", number)
    for row in rows:
        await connection.execute(row)
    await connection.close()
    return dsn


async def test_a_postgres_database_of_an_earlier_version_is_carried_over(postgres_dsn: str) -> None:
    database = await PostgresDatabase.open(await made_before_in_postgres(postgres_dsn, _BEFORE, _FACETS))
    await carried_over(database)
    await database.close()


async def test_many_that_open_a_new_file_at_once_make_it_once(tmp_path: Path) -> None:
    """The aggregator and the registry front start together on a new machine."""
    for number in range(5):
        opened = await asyncio.gather(*(SqliteDatabase.open(tmp_path / f"{number}.db") for _ in range(6)))
        for database in opened:
            assert await database.fetch("dump_facets", _PAGE) == []
            await database.close()


async def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    connection = made_before(tmp_path / "ledger.db")
    connection.execute("create trigger entry_no_update before update on tile begin select 1; end")
    connection.close()
    with pytest.raises(StorageUnavailable, match="entry_no_update already exists"):
        await SqliteDatabase.open(tmp_path / "ledger.db")
    connection = sqlite3.connect(tmp_path / "ledger.db")
    assert connection.execute("pragma user_version").fetchone()[0] == _BEFORE - 1
    triggers = connection.execute("select name from sqlite_master where type = 'trigger'").fetchall()
    assert triggers == [("entry_no_update",)]
    connection.close()


@pytest.mark.parametrize(
    ("version", "message"), [(25, "a development version made the database"), (99, "a newer version")]
)
async def test_a_version_that_is_not_known_is_refused_and_left_as_it_is(
    tmp_path: Path, version: int, message: str
) -> None:
    connection = made_before(tmp_path / "ledger.db")
    connection.execute(_FACETS)
    connection.execute(f"pragma user_version = {version}")
    connection.commit()
    with pytest.raises(StorageUnavailable, match=message):
        await SqliteDatabase.open(tmp_path / "ledger.db")
    assert connection.execute("select * from facets").fetchone()[0] == 7
    assert connection.execute("pragma user_version").fetchone()[0] == version
    connection.close()


@pytest.mark.parametrize("mode", ["read", "migrate"])
async def test_a_mistyped_path_makes_no_file(tmp_path: Path, mode: OpenMode) -> None:
    for path in (tmp_path / "leger.db", tmp_path / "mistyped" / "ledger.db", tmp_path):
        with pytest.raises(StorageUnavailable, match="there is no database") as caught:
            await SqliteDatabase.open(path, mode)
        assert caught.value.code == "database-missing"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["read", "migrate"])
async def test_a_file_that_holds_no_ledger_is_left_as_it_is(tmp_path: Path, mode: OpenMode) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(StorageUnavailable, match="holds no ledger"):
        await SqliteDatabase.open(tmp_path / "empty.db", mode)
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("empty.db", 0)]


async def test_what_only_reads_does_not_migrate(tmp_path: Path) -> None:
    made_before(tmp_path / "ledger.db").close()
    before = (tmp_path / "ledger.db").read_bytes()
    with pytest.raises(StorageUnavailable, match="version 30, and this program reads version") as caught:
        await SqliteDatabase.open(tmp_path / "ledger.db", "read")
    assert "take a backup" in caught.value.fix
    assert (tmp_path / "ledger.db").read_bytes() == before
    await (await SqliteDatabase.open(tmp_path / "ledger.db", "migrate")).close()
    await (await SqliteDatabase.open(tmp_path / "ledger.db", "read")).close()


async def test_an_older_program_refuses_a_newer_database_and_says_how_to_go_back(tmp_path: Path) -> None:
    connection = made_before(tmp_path / "ledger.db")
    connection.execute("pragma user_version = 99")
    connection.close()
    with pytest.raises(StorageUnavailable) as caught:
        await SqliteDatabase.open(tmp_path / "ledger.db")
    assert (caught.value.code, "restore the backup taken before the upgrade" in caught.value.fix) == (
        "database-newer",
        True,
    )


async def test_postgres_refuses_and_makes_as_sqlite_does(postgres_dsn: str) -> None:
    name = f"test_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"create database {name}")
    await connection.close()
    dsn = postgres_dsn.removesuffix("postgres") + name
    modes: tuple[OpenMode, ...] = ("read", "migrate")
    for mode in modes:
        with pytest.raises(StorageUnavailable, match="holds no ledger"):
            await PostgresDatabase.open(dsn, mode)
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'") == 0
    await (await PostgresDatabase.open(dsn)).close()
    await (await PostgresDatabase.open(dsn, "read")).close()
    await connection.execute("insert into migration (number) values (99)")
    every: tuple[OpenMode, ...] = ("make", *modes)
    for mode in every:
        with pytest.raises(StorageUnavailable, match="a newer version") as caught:
            await PostgresDatabase.open(dsn, mode)
        assert caught.value.code == "database-newer"
    await connection.close()
