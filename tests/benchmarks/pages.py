"""Pages of the console over a judged fleet: how long each takes in the program, its size, and what live viewers cost ingest.

BENCH_JUDGED_INSTANCES sets the fleet.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from benchmarks.ingest import LIMITS, LUA, enrolled
from benchmarks.samples import account_of, application_of, commit_of, image_of, name_of
from benchmarks.visible import judged, spoken, told_for
from fakes.signing_authority import SigningAuthority
from landscape.processes import free_port
from landscape.programs import Aggregator, aggregator
from whence_common.runtime.pause import pause

_ASKED = 200
_BETWEEN_SECONDS = 0.02
_LIMIT_MILLIS = 50.0
_VIEWERS, _VIEWERS_A_SESSION = 500, 4
_TURNS, _TOLD_SECONDS = 4, 5
_PAGES = (
    "/", "/instances", f"/instances/{name_of(7)}", "/applications", f"/applications/{application_of(7)}",
    f"/images/{image_of(7)}", f"/commits/{commit_of(7)}", "/violations", "/rules", f"/accounts/{account_of(7)}", "/accounts",
    f"/search?q={name_of(7)}", "/search?q=app", "/changes?application=" + application_of(7), "/evidence", "/evidence/7",
)  # fmt: skip


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print median and 99th percentile of each page, and the processor time of a statement without and with viewers."""
    del limit
    (directory / "ingest.lua").write_text(LUA, encoding="ascii")
    home = directory / "home"
    (home / "aggregator").mkdir(parents=True)
    authority = SigningAuthority.make()
    await spoken(home / "aggregator", authority)
    port, pem = free_port(), {"eu-central-1": authority.pem}
    console = {"url": f"http://127.0.0.1:{port}"}
    async with aggregator(home, home, authority_pem=pem, limits=LIMITS, port=port, console=console) as server:
        print(await judged(server, home / "aggregator" / "ledger.db"), flush=True)
        async with _signed_in(server) as browser:
            for page in _PAGES:
                print(await _timed(browser, page, _ASKED * rounds), flush=True)
        async with server.session() as session:
            machines = await enrolled(authority, session, server.url)
        alone, beside = list[float](), list[float]()
        for _ in range(_TURNS):
            alone.append((await told_for(server, machines, directory, seconds=_TOLD_SECONDS, rest_ms=0.0))[1])
            async with _viewers(server):
                beside.append((await told_for(server, machines, directory, seconds=_TOLD_SECONDS, rest_ms=0.0))[1])
        a, b = statistics.median(alone), statistics.median(beside)
        print(
            f"a statement takes {a:.3f} ms of processor time, and {b:.3f} ms with {_VIEWERS} live viewers: {b / a:.3f} times",
            flush=True,
        )


@asynccontextmanager
async def _signed_in(server: Aggregator) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)  # of an address, not of a name
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(server.url, cookie_jar=jar, connector=connector) as browser:
        form, headers = {"token": server.token}, {"Origin": server.url}
        async with browser.post("/console/sign-in", data=form, headers=headers, allow_redirects=False) as answer:
            assert answer.status == 303
        yield browser


async def _timed(browser: aiohttp.ClientSession, page: str, times: int) -> str:
    taken, size = [], 0
    for _ in range(times):
        began = time.perf_counter()
        async with browser.get(f"/console{page}") as answer:
            assert answer.status == 200, f"{page}: {answer.status} {re.sub('<[^>]*>', ' ', await answer.text())[-600:]}"
            size = len(await answer.read())
        taken.append((time.perf_counter() - began) * 1000)
        await pause(_BETWEEN_SECONDS)
    slowest = statistics.quantiles(taken, n=100)[98]
    over = "" if slowest <= _LIMIT_MILLIS else f"; MORE than {_LIMIT_MILLIS:.0f} ms"
    return f"{page}: median {statistics.median(taken):.1f} ms, p99 {slowest:.1f} ms, {size} bytes{over}"


@asynccontextmanager
async def _viewers(server: Aggregator) -> AsyncIterator[None]:
    """Have so many pages live for the block's duration, of many sessions."""
    async with AsyncExitStack() as stack:
        reading = []
        for _ in range(_VIEWERS // _VIEWERS_A_SESSION):
            browser = await stack.enter_async_context(_signed_in(server))
            for _ in range(_VIEWERS_A_SESSION):
                stream = await stack.enter_async_context(browser.get("/console/live"))
                assert stream.status == 200, stream.status
                reading.append(asyncio.create_task(_read(stream)))
        yield
        for one in reading:
            one.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def _read(stream: aiohttp.ClientResponse) -> None:
    async for _ in stream.content.iter_any():
        pass
