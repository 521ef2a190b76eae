"""PuppetDB beside us, both on PostgreSQL, in the same minutes: reports taken in a second, and the instances with one digest.

PuppetDB is Debian's, with its own defaults but for memory. An answer of it counts once the command is processed, as ours
does. It is not measured unless it is named: its packages are many.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import asyncpg
import msgspec

from benchmarks.ingest import LIMITS, LUA, Side, enrolled, loaded, statements, told
from benchmarks.samples import Sampled, image_of, name_of, new_key
from benchmarks.scale import fill, latency
from fakes.signing_authority import SigningAuthority
from landscape.kills import new_database
from landscape.postgres import postgres
from landscape.processes import free_port, run, started
from landscape.programs import aggregator
from landscape.whole import ROOT
from whence_aggregator.storage.postgres import PostgresDatabase
from whence_common.clock import from_millis

_INSTANCES = 10_000
_CONNECTIONS = 64
_COMMANDS_A_ROUND = 1_500
_READY_SECONDS_MAX = 180.0
_BEGIN_MILLIS = 1_793_000_000_000
_PROGRAM = Path("/usr/share/puppetdb/puppetdb.jar")
_CONFIGURATION = Path("/etc/puppetdb")


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print the rates and latencies of both, and how they compare."""
    print((await run("sh", ROOT / "tests" / "landscape" / "setup.sh", "peer")).strip())
    (directory / "ingest.lua").write_text(LUA, encoding="ascii")
    home, authority = directory / "both", SigningAuthority.make()
    home.mkdir(mode=0o755)
    directory.chmod(0o755)
    beside = directory / "peer"
    beside.mkdir(mode=0o755)
    async with (
        postgres(home, home) as dsn,
        postgres(beside, beside) as peer_dsn,
        aiohttp.ClientSession() as session,
    ):
        database = await new_database(dsn, "product")
        await _filled(database)
        async with (
            _puppetdb(beside, peer_dsn, session) as theirs,
            aggregator(
                home, home, authority_pem={"eu-central-1": authority.pem}, database=database, limits=LIMITS
            ) as server,
        ):
            nodes = [Sampled(number, new_key()) for number in range(_INSTANCES)]
            rate = await _commands(session, theirs, nodes)
            print(f"puppetdb: {_INSTANCES:,} nodes stated once, {rate:,.0f} a second", flush=True)
            machines = await enrolled(authority, session, server.url)
            ours = Side(server.url + "/v1/statements", lambda: statements(machines))
            program, ratios = loaded(limit), []
            for number in range(1, rounds + 1):
                rate, _ = await told(ours, _CONNECTIONS, home, program)
                batch = random.Random(number).sample(nodes, _COMMANDS_A_ROUND)
                peer = await _commands(session, theirs, batch)
                ratios.append(rate / peer)
                print(
                    f"round {number}: whence {rate:,.0f} statements a second, puppetdb {peer:,.0f} commands", flush=True
                )
            print(f"ratio of the rates: {statistics.median(ratios):.1f}", flush=True)
            headers = {"Authorization": f"Bearer {server.token}"}
            await _asked(session, server.url, headers, theirs, rounds)


async def _filled(dsn: str) -> None:
    database = await PostgresDatabase.open(dsn)
    await fill(database, _INSTANCES)
    await database.pool.execute("update instance set judged = ledger_index")
    await database.pool.execute("analyze")
    await database.close()


@asynccontextmanager
async def _puppetdb(directory: Path, dsn: str, session: aiohttp.ClientSession) -> AsyncIterator[str]:
    """Start PuppetDB on a database of its own; give its URL."""
    home, port = directory / "puppetdb", free_port()
    settings = home / "settings"
    settings.mkdir(parents=True)
    connection = await asyncpg.connect(await new_database(dsn, "peer"))
    await connection.execute("create extension pg_trgm")
    await connection.close()
    address = dsn.partition("@")[2].partition("/")[0]
    (settings / "config.ini").write_text(f"[global]\nvardir = {home}\n", encoding="utf-8")
    (settings / "jetty.ini").write_text(f"[jetty]\nhost = 127.0.0.1\nport = {port}\n", encoding="utf-8")
    database = f"[database]\nsubname = //{address}/peer\nusername = whence\npassword = unused\n"
    (settings / "database.ini").write_text(database, encoding="utf-8")
    shutil.copy(_CONFIGURATION / "conf.d" / "auth.conf", settings)
    command = [
        "java", "-Xmx1g", "-cp", _PROGRAM, "clojure.main", "-m", "puppetlabs.puppetdb.core", "services",
        "--config", settings, "--bootstrap-config", _CONFIGURATION / "bootstrap.cfg", "--restart-file", home / "restart",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}/pdb"

    async def ready() -> bool:
        try:
            async with session.get(f"{url}/meta/v1/version") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async with started("puppetdb", command, logs=directory, ready=ready, seconds_max=_READY_SECONDS_MAX):
        yield url


async def _commands(session: aiohttp.ClientSession, url: str, nodes: Iterable[Sampled]) -> float:
    """Have each node's facts replaced, so many at a time; give how many were processed a second."""
    waiting = iter(list(nodes))
    began, count = time.monotonic(), 0

    async def worker() -> None:
        nonlocal count
        for node in waiting:
            stated_at = from_millis(_BEGIN_MILLIS + node.sequence * 60_000)
            values = {"image_digest": image_of(node.number), "state": msgspec.to_builtins(node.predicate())}
            named = {"certname": name_of(node.number), "producer_timestamp": stated_at}
            body = {**named, "environment": "production", "producer": "bench", "values": values}
            asked = {
                "certname": named["certname"], "command": "replace_facts", "version": "5",
                "producer-timestamp": stated_at, "secondsToWaitForCompletion": "60",
            }  # fmt: skip
            async with session.post(f"{url}/cmd/v1", params=asked, json=body) as answer:
                assert (await answer.json())["processed"] is True, answer.status
            count += 1

    await asyncio.gather(*(worker() for _ in range(_CONNECTIONS)))
    return count / (time.monotonic() - began)


async def _asked(session: aiohttp.ClientSession, ours: str, headers: dict[str, str], theirs: str, rounds: int) -> None:
    """Ask both for the fifty instances with one digest, one question at a time."""
    chance = random.Random(1)

    def question(url: str, query: Callable[[str], object]) -> Callable[[], Awaitable[None]]:
        async def once() -> None:
            digest = image_of(chance.randrange(_INSTANCES))
            async with session.get(url, params={"query": json.dumps(query(digest))}) as answer:
                assert len(await answer.json()) == 50, answer.status

        return once

    async def ask() -> None:
        asked = {"image": image_of(chance.randrange(_INSTANCES)), "limit": "100"}
        async with session.get(f"{ours}/v1/instances", params=asked, headers=headers) as answer:
            assert len((await answer.json())["instances"]) == 50, answer.status

    questions = {
        "whence": ask,
        "puppetdb nodes": question(f"{theirs}/query/v4/nodes", lambda d: ["=", ["fact", "image_digest"], d]),
        "puppetdb inventory": question(f"{theirs}/query/v4/inventory", lambda d: ["=", "facts.image_digest", d]),
        "puppetdb facts": question(
            f"{theirs}/query/v4/facts", lambda d: ["and", ["=", "name", "image_digest"], ["=", "value", d]]
        ),
    }
    found: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(rounds):
        for name, one in questions.items():
            found[name].append((await latency(one, 100))[0])
    for name, each in found.items():
        median = statistics.median(each)
        print(
            f"50 by digest among {_INSTANCES:,}, {name}: p50 {median:.2f} ms, {median / statistics.median(found['whence']):.1f} times ours"
        )
