"""What holds of SQLite's files only: how they are made, migrated, refused and left as they are."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from fakes.in_process import InProcess, KeptCheckpoint
from fakes.signing_authority import SigningAuthority
from whence_aggregator.ledger.ledger import LedgerInconsistent
from whence_aggregator.ports import StorageUnavailable
from whence_aggregator.queries.audit import DUMP_FACETS, DumpFacetsParameters
from whence_aggregator.storage import named_queries
from whence_aggregator.storage.named_queries import OpenMode
from whence_aggregator.storage.sqlite import SqliteDatabase

_BEFORE = 31
"""The schema is there; what refuses changes of the ledger is not yet."""
_PAGE: DumpFacetsParameters = {"limit": 10, "offset": 0}


def made_before(path: Path, before: int = _BEFORE) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    for number, sql in named_queries.migrations("sqlite"):
        if number < before:
            connection.executescript(f"{sql}\npragma user_version = {number};")
    return connection


async def test_many_that_open_a_new_file_at_once_make_it_once(tmp_path: Path) -> None:
    """The aggregator and the registry front start together on a new machine."""
    for number in range(5):
        opened = await asyncio.gather(*(SqliteDatabase.open(tmp_path / f"{number}.db") for _ in range(6)))
        for database in opened:
            assert await database.fetch(DUMP_FACETS.bind(_PAGE)) == []
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


async def test_an_older_database_than_was_signed_is_refused(tmp_path: Path, authority: SigningAuthority) -> None:
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    keeper = KeptCheckpoint()
    house = InProcess(database, authority, keeper=keeper)
    async with house.running():
        machine = await house.machine()
        await house.say(machine)
        backup = tmp_path / "backup.db"
        source, target = sqlite3.connect(tmp_path / "ledger.db"), sqlite3.connect(backup)
        source.backup(target)
        source.close()
        target.close()
        await house.say(machine)
    await database.close()
    restored = await SqliteDatabase.open(backup)
    with pytest.raises(LedgerInconsistent, match="the database is older"):
        await InProcess(restored, authority, keeper=keeper).ledger.start()
    await restored.close()


async def test_another_history_than_was_signed_is_refused(tmp_path: Path, authority: SigningAuthority) -> None:
    keeper = KeptCheckpoint()
    for name in ("one.db", "two.db"):
        database = await SqliteDatabase.open(tmp_path / name)
        house = InProcess(database, authority, keeper=KeptCheckpoint() if name == "two.db" else keeper)
        async with house.running():
            machine = await house.machine()
            for _ in range(3 if name == "two.db" else 1):
                await house.say(machine)
        await database.close()
    database = await SqliteDatabase.open(tmp_path / "two.db")
    with pytest.raises(LedgerInconsistent, match="not those that were signed"):
        await InProcess(database, authority, keeper=keeper).ledger.start()
    await database.close()
