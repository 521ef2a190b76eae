"""Faults at every step of a commit: a process that ends, a disk that is full or fails, a connection that is lost.

`python -m fakes.faults PLACE STEP FAULT` runs a small ledger and does one fault at the n-th step at which storage is
touched. What it acknowledged before it writes to PLACE/acknowledged, at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.adapters.log_files import CheckpointFile
from whence_aggregator.ports import Database
from whence_aggregator.storage import sqlite
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_common.errors import WhenceError

STATEMENTS = 80


class Faulty:
    """Counts the steps of storage, and does the fault at one of them."""

    def __init__(self, step: int, fault: str) -> None:
        self.step = step
        self.fault = fault
        self.count = 0

    def reached(self, what: str) -> None:
        self.count += 1
        if self.count != self.step:
            return
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise sqlite3.OperationalError({"full": "database or disk is full", "io": "disk I/O error"}[self.fault])


class FaultyConnection:
    """A SQLite connection each of whose statements is a step, before it is run and after."""

    def __init__(self, connection: sqlite3.Connection, faulty: Faulty) -> None:
        self._connection = connection
        self._faulty = faulty

    def execute(self, sql: str, parameters: Any = ()) -> Any:
        self._faulty.reached("before " + sql[:30])
        cursor = self._connection.execute(sql, parameters)
        self._faulty.reached("after " + sql[:30])
        return cursor

    def executemany(self, sql: str, rows: Sequence[Any]) -> Any:
        self._faulty.reached("before " + sql[:30])
        return self._connection.executemany(sql, rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def opened(place: Path, faulty: Faulty) -> Database:
    """Open the place's database: PostgreSQL where a DSN is given, else SQLite."""
    dsn = os.environ.get("WHENCE_DATABASE")
    if dsn:
        database = await PostgresDatabase.open(dsn)
        _make_faulty(database, faulty)
        return database
    found = await sqlite.SqliteDatabase.open(place / "ledger.db")
    found._writer = FaultyConnection(found._connection(), faulty)  # type: ignore[assignment]  # the same methods
    return found


def _make_faulty(database: PostgresDatabase, faulty: Faulty) -> None:
    """Every statement on a connection of the pool is a step; `lost` closes the connection's socket there."""
    import asyncpg

    async def execute(self: Any, query: str, *parameters: Any, **more: Any) -> Any:
        _pg_reached(self, faulty)
        answer = await real_execute(self, query, *parameters, **more)
        _pg_reached(self, faulty)
        return answer

    async def fetch(self: Any, query: str, *parameters: Any, **more: Any) -> Any:
        _pg_reached(self, faulty)
        return await real_fetch(self, query, *parameters, **more)

    real_execute, real_fetch = asyncpg.Connection.execute, asyncpg.Connection.fetch
    asyncpg.Connection.execute, asyncpg.Connection.fetch = execute, fetch


def _pg_reached(connection: Any, faulty: Faulty) -> None:
    faulty.count += 1
    if faulty.count == faulty.step:
        if faulty.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        connection.terminate()


async def live(place: Path, step: int, fault: str) -> int:
    """Enrol, and state one thing after another; give how many steps there were."""
    faulty = Faulty(step, fault)
    authority = _authority(place)
    keeper = CheckpointFile(place / "log.checkpoint")
    told = os.open(place / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    database = await opened(place, faulty)
    house = InProcess(database, authority, keeper=keeper)
    async with house.running():
        machines = []
        for number in range(4):
            try:
                machines.append(await house.machine(f"i-{os.getpid():08x}{number:09x}"))
            except WhenceError:
                continue

        async def talk(machine: Any) -> None:
            for _ in range(STATEMENTS // 4):
                content = machine.statement()
                try:
                    accepted = await house.ingest.accept(content)
                except WhenceError:
                    continue  # nothing was acknowledged
                os.write(told, f"{accepted.digest} {accepted.ledger_index}\n".encode())

        await asyncio.gather(*(talk(machine) for machine in machines))
    await database.close()  # type: ignore[attr-defined]  # both have it
    return faulty.count


def _authority(place: Path) -> SigningAuthority:
    """The same authority in every life of a place."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    file = place / "authority.pem"
    if not file.exists():
        made = SigningAuthority.make()
        key = made.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(key + made.pem)
    content = file.read_bytes()
    key_loaded = serialization.load_pem_private_key(content, None)
    return SigningAuthority(key_loaded, x509.load_pem_x509_certificate(content[content.index(b"-----BEGIN CERT") :]))  # type: ignore[arg-type]  # RSA


if __name__ == "__main__":
    print(asyncio.run(live(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
