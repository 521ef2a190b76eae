"""The implementations that each suite of this ring runs on: SQLite and PostgreSQL behind `database` and `house`, moto."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from landscape.aws import Aws, moto_server
from whence_aggregator.ports import Database
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest, tmp_path: Path, postgres_dsn: str) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        sqlite = await SqliteDatabase.open(tmp_path / "ledger.db")
        yield sqlite
        await sqlite.close()
        return
    name = f"test_{uuid.uuid4().hex[:12]}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"create database {name}")
    await connection.close()
    opened = await PostgresDatabase.open(postgres_dsn.removesuffix("postgres") + name)
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
