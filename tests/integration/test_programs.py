"""The aggregator as a process on PostgreSQL: the same promises as on SQLite, two replicas on one database included."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.agent_client import AgentClient
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.postgres import new_database
from landscape.programs import aggregator


@pytest.fixture
async def dsn(postgres_dsn: str) -> str:
    """A database of its own."""
    return await new_database(postgres_dsn)


async def test_nothing_acknowledged_is_lost_on_postgresql_either(
    dsn: str, tmp_path: Path, authority: SigningAuthority
) -> None:
    pem = {"eu-central-1": authority.pem}
    machine = Machine(authority)
    acknowledged: dict[str, int] = {}
    for _ in range(2):
        async with (
            aggregator(tmp_path, tmp_path, authority_pem=pem, database=dsn) as running,
            aiohttp.ClientSession() as session,
        ):
            client = AgentClient(session, running.url)
            assert (await client.enrol(machine))[0] == 201
            for _ in range(20):
                status, answer = await client.say(machine)
                assert status == 201
                acknowledged[answer["digest"]] = answer["ledger_index"]
            await running.process.kill()
    async with aggregator(tmp_path, tmp_path, authority_pem=pem, database=dsn) as running:
        for digest, index in acknowledged.items():
            assert (await running.get(f"/v1/receipts/{digest}"))["ledger_index"] == index
        assert (await running.get("/v1/trace", instance=machine.instance_id))["links"]
    assert not (tmp_path / "aggregator" / "ledger.db").exists()


@asynccontextmanager
async def joined(running: Path, joining: Path) -> AsyncIterator[None]:
    """Copy a running replica's checkpoint file to one that joins, as an operator does."""
    shutil.copy(running, joining)
    yield


async def test_two_replicas_write_one_ledger_without_gap_or_fork(
    dsn: str, tmp_path: Path, authority: SigningAuthority
) -> None:
    pem = {"eu-central-1": authority.pem}
    machines = [Machine(authority, f"i-{number:017x}") for number in range(6)]
    shared: dict[str, Any] = {
        "log_key_file": str(tmp_path / "log.key"),
        "heartbeat_secret_file": str(tmp_path / "secret"),
    }
    (tmp_path / "two").mkdir()
    async with (
        aggregator(tmp_path, tmp_path, authority_pem=pem, database=dsn, name="one", **shared) as one,
        joined(tmp_path / "one" / "log.checkpoint", tmp_path / "two" / "log.checkpoint"),
        aggregator(tmp_path, tmp_path, authority_pem=pem, database=dsn, name="two", **shared) as two,
        aiohttp.ClientSession() as session,
    ):
        clients = [AgentClient(session, replica.url) for replica in (one, two)]
        for machine in machines:
            assert (await clients[0].enrol(machine))[0] == 201

        async def talk(machine: Machine) -> list[int]:
            return [(await clients[turn % 2].say(machine))[1]["ledger_index"] for turn in range(10)]

        taken = [index for indexes in await asyncio.gather(*map(talk, machines)) for index in indexes]
        assert len(set(taken)) == 60
        for replica in (one, two):
            assert (await replica.get("/v1/summary"))["ledger_size"] > max(taken)
