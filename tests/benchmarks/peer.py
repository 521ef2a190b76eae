"""PuppetDB beside us, both on PostgreSQL, in the same minutes: reports taken in a second, and the instances with one digest;
those are asked for on SQLite too, our default.

PuppetDB is Debian's, with its own defaults but for memory. An answer of it counts once the command is processed, as ours
does. It is not measured unless it is named: its packages are many.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aiohttp
import asyncpg
import msgspec
from yarl import URL

from benchmarks.ingest import LIMITS, LUA, Side, enrolled, loaded, statements, told
from benchmarks.samples import Sampled, image_of, name_of, new_key
from benchmarks.scale import fill_postgres, fill_sqlite
from fakes.signing_authority import SigningAuthority
from landscape.postgres import new_database, postgres
from landscape.processes import free_port, run, started
from landscape.programs import Aggregator, aggregator
from landscape.whole import ROOT
from whence_common.clock import from_millis

_INSTANCES = 10_000
_CONNECTIONS = 64
_COMMANDS_A_ROUND = 1_500
_READY_SECONDS_MAX = 180.0
_BEGIN_MILLIS = 1_793_000_000_000
_QUESTIONS = 500
_SECONDS = 4
_ASK = r"""
local headers, paths, n = {}, {}, 0
function init(args)
  for line in io.lines(args[1]) do
    local name, value = line:match("^([^\t/]+)\t(.*)$")
    if name then headers[name] = value else paths[#paths + 1] = line end
  end
end
function request()
  n = n % #paths + 1
  return wrk.format("GET", paths[n], headers)
end
function done(s, l, r)
  io.write(string.format("RESULT %.3f %d\n", l:percentile(50) / 1e3,
    s.errors.status + s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout))
end
"""
"""Headers with a tab, then a path a line."""
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
    alone = directory / "alone"
    (alone / "aggregator").mkdir(parents=True)
    await fill_sqlite(alone / "aggregator" / "ledger.db", _INSTANCES)
    async with (
        postgres(home, home) as dsn,
        postgres(beside, beside) as peer_dsn,
        aiohttp.ClientSession() as session,
    ):
        database = await new_database(dsn, "product")
        await fill_postgres(database, _INSTANCES)
        async with (
            _puppetdb(beside, peer_dsn, session) as theirs,
            aggregator(
                home, home, authority_pem={"eu-central-1": authority.pem}, database=database, limits=LIMITS
            ) as server,
            aggregator(alone, alone, authority_pem={"eu-central-1": authority.pem}) as on_sqlite,
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
            ours_by_store = {"whence on PostgreSQL": server, "whence on SQLite": on_sqlite}
            await _asked(session, ours_by_store, theirs, rounds, directory)


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


async def _asked(
    session: aiohttp.ClientSession, ours: Mapping[str, Aggregator], theirs: str, rounds: int, directory: Path
) -> None:
    """Ask both for the fifty instances with one digest, one question at a time, by a client that takes no time itself."""
    chance = random.Random(1)
    digests = [image_of(chance.randrange(_INSTANCES)) for _ in range(_QUESTIONS)]
    queries: dict[str, tuple[str, Callable[[str], object]]] = {
        "puppetdb nodes": ("nodes", lambda digest: ["=", ["fact", "image_digest"], digest]),
        "puppetdb inventory": ("inventory", lambda digest: ["=", "facts.image_digest", digest]),
        "puppetdb facts": ("facts", lambda digest: ["and", ["=", "name", "image_digest"], ["=", "value", digest]]),
    }
    questions = {
        name: [f"{one.url}/v1/instances?image={digest}&limit=100" for digest in digests] for name, one in ours.items()
    }
    headers = {name: {"Authorization": f"Bearer {one.token}"} for name, one in ours.items()}
    for name, (endpoint, query) in queries.items():
        asked = [quote(json.dumps(query(digest)), safe="") for digest in digests]
        questions[name] = [f"{theirs}/query/v4/{endpoint}?query={one}" for one in asked]
    for name, urls in questions.items():
        async with session.get(URL(urls[0], encoded=True), headers=headers.get(name)) as answer:
            found = await answer.json()
            assert len(found["instances"] if isinstance(found, dict) else found) == 50, answer.status
    medians: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(rounds):
        for name, urls in questions.items():
            medians[name].append(await _median(urls, headers.get(name, {}), directory))
    for name, each in medians.items():
        times = [
            f"{statistics.median(a / b for a, b in zip(each, medians[one], strict=True)):.1f} times {one}"
            for one in ours
        ]
        print(f"50 by digest among {_INSTANCES:,}, {name}: p50 {statistics.median(each):.2f} ms, {', '.join(times)}")


async def _median(urls: list[str], headers: dict[str, str], directory: Path) -> float:
    """Give the median of the milliseconds until an answer is there whole."""
    script, lines = directory / "ask.lua", directory / "questions"
    script.write_text(_ASK, encoding="ascii")
    told = "".join(f"{name}\t{value}\n" for name, value in headers.items())
    lines.write_text(told + "".join("/" + url.split("/", 3)[3] + "\n" for url in urls), encoding="ascii")
    output = await run("wrk", "-t1", "-c1", f"-d{_SECONDS}s", "-s", script, urls[0].partition("?")[0], "--", lines)
    match = re.search(r"RESULT (\S+) (\d+)", output)
    assert match is not None, output
    assert match[2] == "0", output
    return float(match[1])
