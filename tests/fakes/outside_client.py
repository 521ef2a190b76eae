"""The client of outside sources on a real database and loopback, with a clock of the test's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from fakes.clocks import FakeClock
from fakes.outside import OutsideHost
from whence_aggregator.adapters.logins import FileLogins, Logins, NoLogin
from whence_aggregator.adapters.outside import OutsidePlace, OutsideSource
from whence_aggregator.collect.kept_answers import KeptAnswers
from whence_aggregator.settings.trackers import TOKEN_USER
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trackers.places import TrackerType
from whence_aggregator.wiring.trackers import AUTHORIZE
from whence_common.registry_address import Lookup


async def nowhere(host: str) -> list[str]:
    """Look up a host that has no address."""
    raise AssertionError(f"{host} was looked up")


@dataclass
class Client:
    source: OutsideSource
    clock: FakeClock
    kept: KeptAnswers


@asynccontextmanager
async def outside_client(
    host: OutsideHost, directory: Path, *, login: str = "", kind: TrackerType = "github", seconds_max: float = 30.0,
    private: bool = True, addresses: tuple[str, ...] = (), base_url: str | None = None, at_once: int = 2,
    lookup: Lookup | None = None,
) -> AsyncIterator[Client]:  # fmt: skip
    """Build a client of one host; `login` is the content of its login file."""
    clock = FakeClock()
    database = await SqliteDatabase.open(directory / "kept.db", "make")
    logins: Logins = NoLogin("tracker.example.org")
    if login:
        file = directory / "login"
        file.write_text(login)
        logins = FileLogins(path=file, host="tracker.example.org", token_user=TOKEN_USER, seconds=_seconds(clock))

    async def looked_up(name: str) -> list[str]:
        return list(addresses) if addresses else await nowhere(name)

    kept = KeptAnswers(database=database, now=clock)
    place = OutsidePlace(
        host="tracker.example.org", base_url=base_url or host.url + host.prefix, private_addresses=private,
        seconds_max=seconds_max, requests_at_once_max=at_once,
    )  # fmt: skip
    try:
        async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
            source = OutsideSource(
                session=session, place=place, logins=logins, authorize=AUTHORIZE[kind], kept=kept, lookup=lookup or looked_up,
                now=clock, seconds=_seconds(clock),
            )  # fmt: skip
            yield Client(source, clock, kept)
    finally:
        await database.close()


def _seconds(clock: FakeClock) -> Callable[[], float]:
    return lambda: clock().timestamp()
