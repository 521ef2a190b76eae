"""The search among ten thousand applications beside a scan without an index, and the memory of the whole list."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from fakes.in_process import InProcess
from fakes.many_applications import register_many
from fakes.served_house import application_routes, served
from fakes.signing_authority import SigningAuthority
from landscape.postgres import new_database, postgres
from whence_aggregator.applications.listing import WantedApplications
from whence_aggregator.applications.search import Sought
from whence_aggregator.callers.caller import Caller
from whence_aggregator.ports import Database
from whence_aggregator.projections.application_words import words_in
from whence_aggregator.queries.applications import APPLICATIONS_LISTED
from whence_aggregator.queries.query import EVERY_ENTRY
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase

_APPLICATIONS = 10_000
_WORDS_EACH = 40
_ASKED = 400
_SEARCHES = (
    "app-04711",
    "app",
    "payment",
    "payment service",
    "pay",
    "customer orders",
    "b",
    "ba1f serv",
    "nowhere",
    "da2 service",
)
Search = Callable[[str], Awaitable[int]]


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print what a search costs on both databases, and what the list of all applications costs in memory."""
    del limit
    path = directory / "ledger.db"
    sqlite = await SqliteDatabase.open(path)
    await _searches("SQLite", sqlite, rounds)
    await _streams(sqlite)
    await sqlite.close()
    async with postgres(directory, directory) as dsn:
        database = await PostgresDatabase.open(await new_database(dsn, "applications"))
        await _searches("PostgreSQL", database, rounds)
        await database.close()


async def _searches(name: str, database: Database, rounds: int) -> None:
    house = InProcess(database, SigningAuthority.make())
    await house.ledger.start()
    began = time.monotonic()
    await register_many(house, _APPLICATIONS, words=_WORDS_EACH)
    print(f"{name}: {_APPLICATIONS} applications registered in {time.monotonic() - began:.0f} s", flush=True)

    async def indexed(text: str) -> int:
        found, _ = await house.application_lists.page(WantedApplications(sought=Sought.parse(text)), after="", limit=50)
        return len(found)

    async def scanned(text: str) -> int:
        words, after, found = set(words_in(text)), "", 0
        while rows := await database.fetch(
            APPLICATIONS_LISTED.bind(
                {"after": after, "past": EVERY_ENTRY, "limit": 500, **WantedApplications().filters}
            )
        ):
            found += sum(words <= set(words_in(row["application_id"] + " " + row["body"])) for row in rows)
            after = rows[-1]["application_id"]
        return found

    await indexed("payment")  # reads the index
    for _ in range(rounds):
        began_cpu = time.process_time()
        times = await _times(indexed, _ASKED)
        cpu = (time.process_time() - began_cpu) * 1000 / _ASKED
        scans = await _times(scanned, len(_SEARCHES))
        print(
            f"  search: median {statistics.median(times):.1f} ms, p99 {_p99(times):.1f} ms, {cpu:.1f} ms of a processor; "
            f"scan without index: median {statistics.median(scans):.0f} ms", flush=True,
        )  # fmt: skip
    for text in _SEARCHES:
        some = [await _time(indexed, text) for _ in range(20)]
        print(f"    {text!r}: median {statistics.median(some):.1f} ms")


async def _streams(database: Database) -> None:
    house = InProcess(database, SigningAuthority.make())
    async with (
        served(house, application_routes(house), {"root": Caller(name="root", teams=None)}) as url,
        aiohttp.ClientSession(headers={"Authorization": "Bearer root"}) as session,
    ):
        for path in ("/apps?team_id=team-1", "/apps", "/apps?search=service"):
            tracemalloc.start()
            size, began = 0, time.monotonic()
            async with session.get(url + path) as answer:
                async for chunk in answer.content.iter_chunked(65_536):
                    size += len(chunk)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            spent = time.monotonic() - began
            print(f"  GET {path}: {size / 1e6:.1f} MB, peak of memory {peak / 1e6:.1f} MB, {spent:.1f} s traced")


async def _times(search: Search, count: int) -> list[float]:
    return [await _time(search, _SEARCHES[number % len(_SEARCHES)]) for number in range(count)]


async def _time(search: Search, text: str) -> float:
    began = time.perf_counter()
    await search(text)
    return (time.perf_counter() - began) * 1000


def _p99(times: list[float]) -> float:
    return sorted(times)[int(len(times) * 0.99)]
