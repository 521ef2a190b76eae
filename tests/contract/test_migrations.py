"""A database made by an earlier version is carried over; one that cannot be understood is refused untouched."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Protocol

import asyncpg
import pytest

from contract.test_golden_ledger import entries, replayed
from fakes.auditor import dumped
from landscape.postgres import new_database
from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.queries.agents import ADD_FACETS_IMAGE
from whence_aggregator.queries.audit import DUMP_COMMIT_WORD, DUMP_FACETS, DUMP_FACT, DumpFacetsParameters
from whence_aggregator.queries.reports import EVERY_COUNT, TOTALS
from whence_aggregator.queries.trace import FACETS_OF_IMAGES
from whence_aggregator.queries.work import TASKS_OF_KIND
from whence_aggregator.storage import named_queries
from whence_aggregator.storage.named_queries import OpenMode
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase

_BEFORE = 31
"""The schema is there; what refuses changes of the ledger is not yet."""
_NEWEST = 69
_FACETS = "insert into facets values (7, 'a', 'r', 'greeter', '1.0', 'sha256:u', 'sha256:i', '')"
_PAGE: DumpFacetsParameters = {"limit": 10, "offset": 0}
_EVERY_MODE: tuple[OpenMode, ...] = ("make", "read", "migrate")


class Place(Protocol):
    """Where a database is to be, with nothing in it yet, and what a program of another version does there."""

    async def run(self, *scripts: str) -> None: ...

    async def became(self, version: int) -> None:
        """Note the version as the program of that version does."""

    async def state(self) -> tuple[int, int]:
        """Return the version and the number of tables."""

    def opened(self, mode: OpenMode) -> AbstractAsyncContextManager[Database]: ...


class SqlitePlace:
    def __init__(self, path: Path) -> None:
        path.touch()
        self._path = path

    async def run(self, *scripts: str) -> None:
        with closing(sqlite3.connect(self._path)) as connection:
            for one in scripts:
                connection.executescript(one)
            connection.commit()

    async def became(self, version: int) -> None:
        await self.run(f"pragma user_version = {version}")

    async def state(self) -> tuple[int, int]:
        with closing(sqlite3.connect(self._path)) as connection:
            (version,) = connection.execute("pragma user_version").fetchone()
            (tables,) = connection.execute("select count(*) from sqlite_master where type = 'table'").fetchone()
            return version, tables

    @asynccontextmanager
    async def opened(self, mode: OpenMode) -> AsyncIterator[Database]:
        database = await SqliteDatabase.open(self._path, mode)
        yield database
        await database.close()


class PostgresPlace:
    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    @classmethod
    async def make(cls, server: str) -> PostgresPlace:
        return cls(await new_database(server))

    async def run(self, *scripts: str) -> None:
        connection = await asyncpg.connect(self._dsn)
        for one in scripts:
            await connection.execute(one)
        await connection.close()

    async def became(self, version: int) -> None:
        table = "create table if not exists migration (number bigint primary key)"
        await self.run(table, "delete from migration", f"insert into migration (number) values ({version})")

    async def state(self) -> tuple[int, int]:
        connection = await asyncpg.connect(self._dsn)
        made = await connection.fetchval("select to_regclass('migration') is not null")
        version = await connection.fetchval("select max(number) from migration") if made else 0
        tables = await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'")
        await connection.close()
        return version, tables

    @asynccontextmanager
    async def opened(self, mode: OpenMode) -> AsyncIterator[Database]:
        database = await PostgresDatabase.open(self._dsn, mode)
        yield database
        await database.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def place(request: pytest.FixtureRequest, tmp_path: Path, postgres_dsn: str) -> Place:
    if request.param == "sqlite":
        return SqlitePlace(tmp_path / "ledger.db")
    return await PostgresPlace.make(postgres_dsn)


@pytest.fixture
async def earlier(place: Place) -> Place:
    """A database of the version before, with a row in it."""
    dialect = "sqlite" if isinstance(place, SqlitePlace) else "postgres"
    await place.run(*(sql for number, sql in named_queries.migrations(dialect) if number < _BEFORE), _FACETS)
    await place.became(_BEFORE - 1)
    return place


async def refusal(place: Place, mode: OpenMode) -> StorageUnavailable:
    """Return why the database is not opened, having looked that nothing in it has changed."""
    before = await place.state()
    with pytest.raises(StorageUnavailable) as caught:
        async with place.opened(mode):
            pass
    assert await place.state() == before
    return caught.value


async def test_a_database_of_an_earlier_version_is_carried_over(earlier: Place) -> None:
    """What stood there is there, and what is new can be used."""
    async with earlier.opened("make") as database:
        (row,) = await database.fetch(DUMP_FACETS.bind(_PAGE))
        assert list(dict(row).values()) == [7, "a", "r", "greeter", "1.0", "sha256:u", "sha256:i", ""]
        await database.write(ADD_FACETS_IMAGE.bind([{"image_digest": "sha256:s", "facets": 7}]))
        for digest in ("sha256:i", "sha256:s"):
            found = await database.fetch(FACETS_OF_IMAGES.bind({"images": f'["{digest}"]'}))
            assert [one["number"] for one in found] == [7]
    assert (await earlier.state())[0] == _NEWEST


@pytest.mark.parametrize("mode", _EVERY_MODE)
@pytest.mark.parametrize(
    ("version", "code", "message", "fix"),
    [
        (25, "database-older", "a development version made the database", "start with a new one"),
        (99, "database-newer", "a newer version", "restore the backup taken before the upgrade"),
    ],
)
async def test_a_version_that_is_not_known_is_refused_and_left_as_it_is(
    earlier: Place, mode: OpenMode, version: int, code: str, message: str, fix: str
) -> None:
    await earlier.became(version)
    refused = await refusal(earlier, mode)
    assert refused.code == code
    assert message in refused.message
    assert fix in (refused.fix or "")
    await earlier.became(_BEFORE - 1)
    async with earlier.opened("make") as database:
        assert [row["number"] for row in await database.fetch(DUMP_FACETS.bind(_PAGE))] == [7]


@pytest.mark.parametrize("mode", ["read", "migrate"])
async def test_a_database_that_holds_no_ledger_is_left_as_it_is(place: Place, mode: OpenMode) -> None:
    refused = await refusal(place, mode)
    assert (refused.code, refused.message) == ("database-empty", "the database holds no ledger")
    assert await place.state() == (0, 0)


async def test_what_only_reads_does_not_migrate(earlier: Place) -> None:
    refused = await refusal(earlier, "read")
    assert refused.code == "database-older"
    assert refused.message == f"the database is of version 30, and this program reads version {_NEWEST}"
    assert "take a backup" in (refused.fix or "")
    modes: tuple[OpenMode, ...] = ("migrate", "read")
    for mode in modes:
        async with earlier.opened(mode) as database:
            assert len(await database.fetch(DUMP_FACETS.bind(_PAGE))) == 1


async def test_a_missing_database_is_created(place: Place) -> None:
    modes: tuple[OpenMode, ...] = ("make", "read")
    for mode in modes:
        async with place.opened(mode) as database:
            assert await database.fetch(DUMP_FACETS.bind(_PAGE)) == []
    assert (await place.state())[0] == _NEWEST


_VERSIONS = 38
"""The migration that adds the digests of versions, and fills them from what was recorded before."""


async def test_digests_of_versions_are_carried_over_from_pushes_and_statements(place: Place) -> None:
    dialect = "sqlite" if isinstance(place, SqlitePlace) else "postgres"
    (migration,) = [sql for number, sql in named_queries.migrations(dialect) if number == _VERSIONS]
    async with place.opened("make") as database:
        assert await replayed(database, entries("ledger-v1")) == []
        derived = await dumped(database)
    assert len(derived["version_digest"]) == 5
    await place.run(*(f"drop table {one}" for one in ("version_digest", "version_revision", "approval")), migration)
    async with place.opened("read") as database:
        assert await dumped(database) == derived


async def test_spellings_of_one_repository_become_one_and_keep_the_first_entry(place: Place) -> None:
    dialect = "sqlite" if isinstance(place, SqlitePlace) else "postgres"
    await place.run(*(sql for number, sql in named_queries.migrations(dialect) if number < 46))
    spelt = ("GitHub/App", "github/APP", "github/app")
    words = [
        f"insert into commit_word values ('PAY-7', 'github.com/{name}', 'c', {9 - number})"
        for number, name in enumerate(spelt)
    ]
    tasks = [
        f"insert into task (kind, subject, due_at, attempts, reason) values ('review', 'github.com/{name}@c', 't', 0, '')"
        for name in spelt
    ]
    facts = [
        f"insert into fact values ('commit', '{host}/Team/App@c', {number}, 't', 'found', '{{}}', '')"
        for number, host in enumerate(("github.com", "git.example.org"))
    ]
    await place.run(*words, *tasks, *facts)
    await place.became(45)
    async with place.opened("make") as database:
        found = await database.fetch(DUMP_COMMIT_WORD.bind({"limit": 10, "offset": 0}))
        assert [(row["repository"], row["ledger_index"]) for row in found] == [("github.com/github/app", 7)]
        waiting = await database.fetch(TASKS_OF_KIND.bind({"kind": "review"}))
        assert [row["subject"] for row in waiting] == ["github.com/github/app@c"]
        dumped = await database.fetch(DUMP_FACT.bind({"limit": 10, "offset": 0}))
        assert [row["subject"] for row in dumped] == ["github.com/team/app@c", "git.example.org/Team/App@c"]


async def test_snapshots_of_an_earlier_version_are_summed_up(place: Place) -> None:
    dialect = "sqlite" if isinstance(place, SqlitePlace) else "postgres"
    (migration,) = [sql for number, sql in named_queries.migrations(dialect) if number == 60]
    async with place.opened("make") as database:
        assert await replayed(database, entries("summary-v1")) == []
        derived = await dumped(database)
    assert len(derived["summary_total"]) == 15
    await place.run("drop table summary_total", "drop index summary_count_day", migration)
    async with place.opened("read") as database:
        assert await dumped(database) == derived


async def test_verdicts_of_an_earlier_version_are_counted(place: Place) -> None:
    """A rule without a row has always passed; what is gone is not counted."""
    dialect = "sqlite" if isinstance(place, SqlitePlace) else "postgres"
    await place.run(
        *(sql for number, sql in named_queries.migrations(dialect) if number < 54),
        _FACETS,
        """insert into rule_set (number, rules) values (1, '{"a":1,"b":1,"c":2,"d":1}'), (2, '{"e":1}')""",
        """insert into instance (number, instance_id, account_id, region, enrolment, sequence, ledger_index, observed_at,
            cause, facets, judged, base, rule_set) values (3, 'i-1', '1', 'r', 1, 1, 1, 1, 'boot', 7, 1, -1, 1)""",
        """insert into subject (number, kind, id, rule_set) values (5, 'account', '1', 2)""",
        """insert into verdict values ('instance', 3, 'b', 1, 'fail', '', '', 1), ('instance', 3, 'c', 2, 'unknown', '', '', 1),
            ('instance', 3, 'd', 1, 'gone', '', '', 1), ('account', 5, 'e', 1, 'unknown', '', '', 1)""",
        "insert into verdict_fold values ('instance', 3, 'c', 'source')",
    )
    await place.became(53)
    async with place.opened("migrate") as database:
        rows = [tuple(dict(row).values()) for row in await database.fetch(EVERY_COUNT.bind({}))]
        accounts = [tuple(dict(row).values()) for row in await database.fetch(TOTALS.bind({"scope": "account"}))]
    assert rows == [
        ("1", "", "account", "", 0, 0, 1, 0), ("1", "", "account", "e", 0, 0, 1, 0),
        ("1", "greeter", "instance", "", 0, 1, 0, 0), ("1", "greeter", "instance", "a", 1, 0, 0, 0),
        ("1", "greeter", "instance", "b", 0, 1, 0, 0), ("1", "greeter", "instance", "c", 0, 0, 0, 1),
    ]  # fmt: skip
    assert sorted(accounts) == [
        ("1", "account", 0, 0, 0, 1, 0), ("1", "account", 1, 0, 0, 1, 0),
        ("1", "instance", 0, 1, 1, 0, 1), ("1", "instance", 1, 0, 1, 0, 0),
    ]  # fmt: skip
