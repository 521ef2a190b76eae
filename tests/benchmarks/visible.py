"""How soon a new fact is judged and visible in the verdict answer, in the program, while ingest runs at half its limit.

The fleet beside it is judged before, by the program: that is timed too. BENCH_JUDGED_INSTANCES sets its size.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import sqlite3
import statistics
import time
from contextlib import closing, suppress
from pathlib import Path

import aiohttp

from benchmarks.ingest import LIMITS, LUA, enrolled, statements
from benchmarks.scale import speak
from fakes.agent_client import AgentClient
from fakes.in_process import ORIGIN, SECRET, InProcess
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.programs import Aggregator, aggregator
from whence_aggregator.agents.heartbeat_secret import keep_secret
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.note import LOG, Signer
from whence_common.runtime.pause import pause
from whence_common.statement import ApplicationFacts, UserDataFacts

INSTANCES = int(os.environ.get("BENCH_JUDGED_INSTANCES", "10000"))
_CONNECTIONS = 64
_LIMIT_SECONDS, _SECONDS = 6, 30
_SHARE = 0.5
_FACTS, _FACTS_QUIET = 30, 10
_LOOKED_SECONDS = 0.02
_TICK = os.sysconf("SC_CLK_TCK")


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print the seconds from the request with the fact to the answer with its verdict, without and with ingest."""
    del rounds, limit
    (directory / "ingest.lua").write_text(LUA, encoding="ascii")
    home = directory / "home"
    (home / "aggregator").mkdir(parents=True)
    authority = SigningAuthority.make()
    await spoken(home / "aggregator", authority)
    pem = {"eu-central-1": authority.pem}
    async with aggregator(home, home, authority_pem=pem, limits=LIMITS) as server, server.session() as session:
        print(await judged(server, home / "aggregator" / "ledger.db"), flush=True)
        machines = await enrolled(authority, session, server.url)
        probe = await _probe(authority, session, server)
        print("without ingest: " + await _facts(server, session, probe, _FACTS_QUIET), flush=True)
        rate, used = await told_for(server, machines, directory, seconds=_LIMIT_SECONDS, rest_ms=0.0)
        print(f"ingest at its limit: {rate:,.0f} statements a second, {used:.3f} ms of processor time each", flush=True)
        print("its machines " + await judged(server, home / "aggregator" / "ledger.db"), flush=True)
        rest_ms = _CONNECTIONS / rate / _SHARE * 1e3
        telling = asyncio.create_task(told_for(server, machines, directory, seconds=_SECONDS, rest_ms=rest_ms))
        await pause(3.0)
        print(f"under ingest at {_SHARE:.0%} of it: " + await _facts(server, session, probe, _FACTS), flush=True)
        rate, used = await telling
        print(f"ingest meanwhile: {rate:,.0f} statements a second, {used:.3f} ms of processor time each", flush=True)


async def spoken(home: Path, authority: SigningAuthority) -> None:
    """Fill the program's database, with a key that it signs its log by."""
    seed = b"l" * 32
    line = base64.b64encode(bytes([LOG]) + seed).decode()
    (home / "log.key").write_text(f"PRIVATE+KEY+{ORIGIN}+{Signer(ORIGIN, seed).verifier.id.hex()}+{line}\n", "ascii")
    (home / "log.key").chmod(0o600)
    database = await SqliteDatabase.open(home / "ledger.db")
    house = InProcess(database, authority, seeds=(seed,))
    await house.ledger.start()
    (home / "heartbeat.secret").write_bytes(SECRET)
    (home / "heartbeat.secret").chmod(0o600)
    await keep_secret(database, SECRET)
    await speak(house, INSTANCES)
    (home / "log.checkpoint").write_text(house.ledger.note, "utf-8")
    await database.close()
    print(f"{INSTANCES:,} instances have stated what they run", flush=True)


async def judged(server: Aggregator, path: Path) -> str:
    """Wait until the program has judged the fleet; return how long that took."""
    began, used = time.monotonic(), processor_seconds(server)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        while connection.execute("select 1 from instance where judged < ledger_index limit 1").fetchone():
            await pause(0.2)
    seconds = processor_seconds(server) - used
    return (
        f"judged by the program in {time.monotonic() - began:.0f} s, {seconds:.0f} processor seconds of all processes"
        f" ({seconds / INSTANCES * 1e3:.2f} ms each)"
    )


async def _probe(authority: SigningAuthority, session: aiohttp.ClientSession, server: Aggregator) -> Machine:
    """Give a machine of an application of its own, whose statement is judged."""
    machine = Machine(authority, f"i-{'f' * 17}")
    await AgentClient(session, server.url).enrol(machine)
    document = {"application_id": "probe"}
    content = machine.statement(
        application=ApplicationFacts(id="probe", version="1.0"),
        user_data=UserDataFacts(digest="sha256:" + "b" * 64, document=document),
    )
    async with session.post(server.url + "/v1/statements", data=content) as answer:
        assert answer.status == 201, await answer.text()
    return machine


async def _facts(server: Aggregator, session: aiohttp.ClientSession, probe: Machine, count: int) -> str:
    """Change the application's registration so often, and wait for each verdict."""
    taken = []
    for number in range(count):
        active = number % 2 == 1
        began = time.monotonic()
        kio = {"team_id": "probes", "name": "Probe", "active": active, "scm_url": "https://git.example.org/a/probe"}
        assert await server.put("/apps/probe", kio) == 200
        wanted = "pass" if active else "fail"
        while await _verdict(server, session, probe) != wanted:
            await pause(_LOOKED_SECONDS)
        taken.append(time.monotonic() - began)
    return (
        f"a new fact is visible as a verdict after {statistics.median(taken):.2f} s (median of {count}),"
        f" p90 {sorted(taken)[int(0.9 * count)]:.2f} s, slowest {max(taken):.2f} s"
    )


async def _verdict(server: Aggregator, session: aiohttp.ClientSession, probe: Machine) -> str:
    async with session.get(f"{server.url}/v1/instances/{probe.instance_id}") as answer:
        shown = await answer.json()
    return next((one["verdict"] for one in shown["verdicts"] if one["rule"] == "application-inactive"), "")


async def told_for(
    server: Aggregator, machines: list[Machine], directory: Path, *, seconds: int, rest_ms: float
) -> tuple[float, float]:
    """State new things for so long; return the statements a second, and their processor time in milliseconds."""
    bodies = directory / "bodies"
    with bodies.open("wb") as sink:
        sink.writelines(body + b"\n" for body in statements(machines))
    command = [
        "wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "-s", directory / "ingest.lua",
        server.url + "/v1/statements", "--", bodies, round(rest_ms),
    ]  # fmt: skip
    used = processor_seconds(server)
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
    output = (await process.communicate())[0].decode()
    match = re.search(r"RESULT (\S+) (\S+) (\d+) (\d+)", output)
    assert match is not None, output
    assert match[4] == "0", output
    return float(match[1]), (processor_seconds(server) - used) / int(match[3]) * 1e3


def processor_seconds(server: Aggregator) -> float:
    """Return the processor time of the program and of the processes that it started."""
    waiting, total = [str(server.process.process.pid)], 0.0
    while waiting:
        pid = waiting.pop()
        with suppress(FileNotFoundError, ProcessLookupError):
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            total += (int(stat[11]) + int(stat[12])) / _TICK
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += (task / "children").read_text(encoding="ascii").split()
    return total
