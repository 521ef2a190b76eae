"""Statements and heartbeats a second end to end, durable before the acknowledgement, beside the physical limit in the same
minutes: on SQLite beside sqlite-full and sqlite-hb, on PostgreSQL beside pg-full."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp

from fakes.agent_client import AgentClient
from fakes.machine import DIGEST, Machine
from fakes.signing_authority import SigningAuthority
from landscape.kills import new_database
from landscape.postgres import postgres
from landscape.programs import Aggregator, aggregator
from whence_common.heartbeat import Heartbeat, derive_key, mac

_MACHINES = 1_000
_CONNECTIONS = (64, 256)
_SECONDS = 8
_STATEMENTS_A_ROUND = 60_000
_BEATS = 5_000
_LIMITS = dict.fromkeys(("statements_per_instance", "statements_per_account", "heartbeats_per_instance", "enrolments_per_instance", "challenges_per_address"), 1000000.0)  # fmt: skip
_LUA = r"""
local requests, n = {}, 0
function init(args)
  for line in io.lines(args[1]) do
    local mac, body = line:match("^([0-9a-f]*)\t(.*)$")
    local headers = {["Content-Type"] = "application/json"}
    if mac ~= "" then headers["Whence-MAC"] = mac end
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
end
function request()
  n = n % #requests + 1
  return requests[n]
end
function done(s, l, r)
  io.write(string.format("RESULT %.1f %.2f %d %d\n", s.requests / (s.duration / 1e6), l:percentile(99) / 1e3,
    s.requests, s.errors.status + s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout))
end
"""


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Interleave product and limit, print the medians and their ratios."""
    (directory / "ingest.lua").write_text(_LUA, encoding="ascii")
    await _on(directory / "on-sqlite", None, rounds=rounds, limit=limit)
    async with postgres(directory, directory) as dsn:
        await _on(directory / "on-postgres", dsn, rounds=rounds, limit=limit)


async def _on(directory: Path, dsn: str | None, *, rounds: int, limit: Path) -> None:
    directory.mkdir()
    authority = SigningAuthority.make()
    database = await new_database(dsn, "product") if dsn is not None else None
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(
            aggregator(
                directory, directory, authority_pem={"eu-central-1": authority.pem}, database=database, limits=_LIMITS
            )
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        machines = [Machine(authority, f"i-{number:017x}") for number in range(_MACHINES)]
        for start in range(0, _MACHINES, 50):
            client = AgentClient(session, server.url)
            await asyncio.gather(*(client.enrol(machine) for machine in machines[start : start + 50]))
        for connections in _CONNECTIONS:

            async def statements(number: int = connections) -> tuple[float, float, int]:
                return await _statements(server, machines, directory, number)

            case = "sqlite-full" if dsn is None else "pg-full"
            await _beside(statements, case, connections, rounds, limit, directory, dsn)
        size = (await server.get("/v1/summary"))["ledger_size"]
        if dsn is None:
            stored = sum(file.stat().st_size for file in (directory / "aggregator").glob("ledger.db*"))
            print(f"{stored / size:,.0f} bytes on disk an entry")
            secret = (directory / "aggregator" / "heartbeat.secret").read_bytes()

            for connections in _CONNECTIONS:

                async def beats(number: int = connections) -> tuple[float, float, int]:
                    return await _beats(server, secret, directory, number)

                await _beside(beats, "sqlite-hb", connections, rounds, limit, directory, dsn)


async def _beside(
    ours: Callable[[], Awaitable[tuple[float, float, int]]],
    case: str,
    connections: int,
    rounds: int,
    limit: Path,
    directory: Path,
    dsn: str | None,
) -> None:
    """Measure in turn, so that both have the same minutes."""
    rates, theirs = [], []
    for number in range(1, rounds + 1):
        rate, p99, errors = await ours()
        rates.append(rate)
        said = (
            f"round {number}, {connections} connections: whence {rate:,.0f} a second, p99 {p99:.0f} ms, {errors} errors"
        )
        if limit.exists():
            limits, limits_p99 = await _limit(limit, case, connections, directory, dsn)
            theirs.append(limits)
            said += f"; {case} {limits:,.0f}, p99 {limits_p99:.0f} ms"
        print(said, flush=True)
    if theirs:
        ratio = statistics.median(rates) / statistics.median(theirs)
        print(f"ratio to {case} at {connections} connections: {ratio:.2f}", flush=True)
    else:
        print(f"the limit was not measured: {limit} is not there (--limit)")


async def _statements(
    server: Aggregator, machines: list[Machine], directory: Path, connections: int
) -> tuple[float, float, int]:
    """Send fresh statements once around; what wrk repeats at the end counts as replayed, so there are enough."""
    bodies = directory / "bodies"
    with bodies.open("wb") as sink:
        for number in range(_STATEMENTS_A_ROUND):
            sink.write(b"\t" + machines[number % len(machines)].statement() + b"\n")
    rate, p99, count, errors = await _wrk(server.url + "/v1/statements", bodies, directory, connections)
    assert count < _STATEMENTS_A_ROUND, "statements were repeated: make more of them"
    return rate, p99, errors


async def _beats(server: Aggregator, secret: bytes, directory: Path, connections: int) -> tuple[float, float, int]:
    bodies = directory / "beats"
    with bodies.open("wb") as sink:
        for number in range(_BEATS):
            name = f"i-{number:017x}"
            body = Heartbeat(
                instance_id=name, enrolment=1, sequence=1, state_digest=DIGEST, sent_at="2026-11-22T12:00:00.000Z"
            ).to_wire()
            sink.write(mac(derive_key(secret, instance_id=name, enrolment=1), body).encode() + b"\t" + body + b"\n")
    rate, p99, _, errors = await _wrk(server.url + "/v1/heartbeats", bodies, directory, connections)
    return rate, p99, errors


async def _wrk(url: str, bodies: Path, directory: Path, connections: int) -> tuple[float, float, int, int]:
    script = directory.parent / "ingest.lua"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{_SECONDS}s", "-s", script, url, "--", bodies]
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
    output = (await process.communicate())[0].decode()
    match = re.search(r"RESULT (\S+) (\S+) (\d+) (\d+)", output)
    assert match is not None, output
    return float(match[1]), float(match[2]), int(match[3]), int(match[4])


async def _limit(limit: Path, case: str, connections: int, directory: Path, dsn: str | None) -> tuple[float, float]:
    """Give the limit's rate a second, and its p99 in milliseconds."""
    found = directory / "limit.json"
    command = [
        sys.executable, limit, "--cases", case, "--rounds", "1", "--secs", str(_SECONDS),
        "--conns", str(connections), "--dir", directory, "--json", found,
        *(("--pg", dsn) if dsn is not None else ()),
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
    output = (await process.communicate())[0].decode()
    text = json.dumps(json.loads(found.read_text(encoding="utf-8")))
    rate, p99 = (re.search(rf'"{name}": ?([0-9.]+)', text) for name in ("rps", "p99"))
    assert rate is not None, output
    assert p99 is not None, output
    return float(rate[1]), float(p99[1])
