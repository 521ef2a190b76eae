"""The implementations that each suite of this ring runs on: SQLite and PostgreSQL behind `database` and `house`, moto."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from landscape.aws import Aws, moto_server
from landscape.postgres import copied_database, new_database
from whence_aggregator.ports import Database
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase


@pytest.fixture(scope="session")
async def postgres_template(postgres_dsn: str) -> str:
    """A database with our tables and nothing in them, which is copied for each test."""
    name = "made"
    await (await PostgresDatabase.open(await new_database(postgres_dsn, name))).close()
    return name


@pytest.fixture(params=["sqlite", "postgres"])
async def database(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_dsn: str, postgres_template: str
) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        sqlite = await SqliteDatabase.open(tmp_path / "ledger.db")
        yield sqlite
        await sqlite.close()
        return
    async with copied_database(postgres_dsn, postgres_template) as dsn:
        opened = await PostgresDatabase.open(dsn)
        yield opened
        await opened.close()


@pytest.fixture
async def house(database: Database, authority: SigningAuthority) -> AsyncIterator[InProcess]:
    async with InProcess(database, authority).running() as running:
        yield running


@pytest.fixture(scope="session")
async def moto(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    """AWS as moto's server speaks it, for whoever signs with keys of its own, and for boto's clients by the environment."""
    given = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    async with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
