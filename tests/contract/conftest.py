"""Both stores behind one fixture: every test of this ring that asks for `house` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
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
