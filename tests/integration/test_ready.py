"""/ready answers within two seconds, whatever the database does."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from fakes.hanging_road import HangingRoad
from whence_aggregator.http.operators import ProbeCalls
from whence_aggregator.http.readiness import Readiness
from whence_aggregator.http.server import Server
from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring.operations import answering

SECONDS_MAX = 2.0


@asynccontextmanager
async def probes(database: Database, fresh_seconds: float = 1.0) -> AsyncIterator[str]:
    """Serve the probes of a database; give the URL."""
    readiness = Readiness(answering(database), fresh_seconds=fresh_seconds)
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = Server(
        routes=ProbeCalls(readiness).routes(), sign_in=None, address="127.0.0.1", port=0, tls=None,
        listening=port.set_result,
    )  # fmt: skip
    running = asyncio.create_task(server.run())
    try:
        yield f"http://127.0.0.1:{await port}"
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await readiness.close()


async def asked(session: aiohttp.ClientSession, url: str) -> tuple[int, str, float]:
    """Ask /ready; give status, code and seconds."""
    began = time.monotonic()
    async with session.get(url + "/ready") as answer:
        return answer.status, (await answer.json(content_type=None)).get("code", ""), time.monotonic() - began


async def test_a_postgresql_that_hangs_is_reported_in_time_and_a_flood_of_probes_queries_it_once(
    postgres_dsn: str,
) -> None:
    parts = urlsplit(postgres_dsn)
    assert parts.port is not None
    async with HangingRoad("127.0.0.1", parts.port).serve() as road, aiohttp.ClientSession() as session:
        database = await PostgresDatabase.open(postgres_dsn.replace(f":{parts.port}/", f":{road.port}/"))
        async with probes(database, fresh_seconds=0.0) as url:
            assert (await asked(session, url))[0] == 200
            road.open.clear()
            answers = await asyncio.gather(*(asked(session, url) for _ in range(50)))
            assert {(status, code) for status, code, _ in answers} == {(503, "storage-slow")}
            assert max(seconds for _, _, seconds in answers) < SECONDS_MAX
            assert database.pool.get_size() - database.pool.get_idle_size() <= 1
            road.open.set()
            async with asyncio.timeout(30):
                while (await asked(session, url))[0] != 200:
                    pass
        await database.close()


async def test_a_locked_sqlite_file_is_reported_in_time(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "l.db")
    with closing(sqlite3.connect(tmp_path / "l.db")) as other:
        other.execute("begin exclusive")
        async with probes(database) as url, aiohttp.ClientSession() as session:
            status, _, seconds = await asked(session, url)
            assert (status, seconds < SECONDS_MAX) == (200, True)
        other.rollback()
    await database.close()


class Stuck:
    """A database whose thread never comes back, or that is away."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure
        self.asked = 0

    async def fetch(self, query: object) -> None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        await asyncio.Event().wait()


async def test_an_unreachable_database_has_its_own_code_and_a_stuck_one_is_queried_once() -> None:
    for failure, code in ((StorageUnavailable("storage-sqlite", "away"), "storage-sqlite"), (None, "storage-slow")):
        stuck = Stuck(failure)
        async with probes(stuck) as url, aiohttp.ClientSession() as session:  # type: ignore[arg-type]  # fetch is all
            answers = await asyncio.gather(*(asked(session, url) for _ in range(20)))
            assert {answer[:2] for answer in answers} == {(503, code)}
            assert max(seconds for _, _, seconds in answers) < SECONDS_MAX
            assert stuck.asked == 1
