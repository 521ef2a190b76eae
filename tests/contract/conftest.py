"""The implementations that each suite of this ring runs on: SQLite and PostgreSQL behind `database` and `house`, moto."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from landscape.aws import Aws, moto_server
from landscape.lent_databases import PostgresLoans, SqliteTemplate
from whence_aggregator.ports import Database


@pytest.fixture(scope="session")
async def postgres_loans(postgres_dsn: str) -> AsyncIterator[PostgresLoans]:
    loans = await PostgresLoans.open(postgres_dsn)
    yield loans
    await loans.close()


@pytest.fixture(params=["sqlite", "postgres"])
async def database(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_loans: PostgresLoans, sqlite_template: SqliteTemplate
) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        sqlite = await sqlite_template.open(tmp_path / "ledger.db")
        yield sqlite
        await sqlite.close()
        return
    async with postgres_loans.lent() as lent:
        yield lent


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
