"""Statements a second end to end, durable before the acknowledgement, beside the physical limit in the same minutes."""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import sys
from pathlib import Path

import aiohttp

from fakes.agent_client import AgentClient
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.programs import Aggregator, aggregator

_MACHINES = 64
_CONNECTIONS = 256
_SECONDS = 3
_STATEMENTS_A_ROUND = 20_000
_LUA = r"""
local bodies, n = {}, 0
function init(args) for line in io.lines(args[1]) do bodies[#bodies + 1] = line end end
function request()
  n = n % #bodies + 1
  return wrk.format("POST", nil, {["Content-Type"] = "application/json"}, bodies[n])
end
function done(s, l, r)
  io.write(string.format("RESULT %.1f %.2f %d %d\n", s.requests / (s.duration / 1e6), l:percentile(99) / 1e3,
    s.requests, s.errors.status + s.errors.connect + s.errors.read + s.errors.write + s.errors.timeout))
end
"""


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Interleave product and limit, print the medians and their ratio."""
    authority = SigningAuthority.make()
    ours, theirs = [], []
    script = directory / "ingest.lua"
    script.write_text(_LUA, encoding="ascii")
    async with (
        aggregator(
            directory,
            directory,
            authority_pem={"eu-central-1": authority.pem},
            document_seconds_max=2_592_000,
            limits={
                "statements_per_instance": 1e6,
                "statements_per_account": 1e6,
                "enrolments_per_instance": 1e6,
                "challenges_per_address": 1e6,
            },
        ) as server,
        aiohttp.ClientSession() as session,
    ):
        machines = [Machine(authority, f"i-{number:017x}") for number in range(_MACHINES)]
        for machine in machines:
            await AgentClient(session, server.url).enrol(machine)
        for number in range(1, rounds + 1):
            rate, p99, errors = await _ours(server, machines, script, directory)
            ours.append(rate)
            print(f"round {number}: whence {rate:,.0f} statements/s, p99 {p99:.0f} ms, {errors} errors", flush=True)
            if limit.exists():
                theirs.append(await _limit(limit, directory))
                print(f"round {number}: sqlite-full {theirs[-1]:,.0f} reports/s", flush=True)
        size = (await server.get("/v1/summary"))["ledger_size"]
    database = sum(file.stat().st_size for file in (directory / "aggregator").glob("ledger.db*"))
    print(f"median: whence {statistics.median(ours):,.0f} statements/s; {database / size:,.0f} bytes on disk an entry")
    if theirs:
        print(f"ratio to sqlite-full: {statistics.median(ours) / statistics.median(theirs):.2f}")
    else:
        print(f"the limit was not measured: {limit} is not there (--limit)")


async def _ours(server: Aggregator, machines: list[Machine], script: Path, directory: Path) -> tuple[float, float, int]:
    """Send fresh statements once around; what wrk repeats at the end counts as replayed, so there are enough."""
    bodies = directory / "bodies"
    with bodies.open("wb") as sink:
        for number in range(_STATEMENTS_A_ROUND):
            sink.write(machines[number % len(machines)].statement() + b"\n")
    command = [
        "wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{_SECONDS}s", "-s", script, f"{server.url}/v1/statements", "--", bodies,
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
    output = (await process.communicate())[0].decode()
    match = re.search(r"RESULT (\S+) (\S+) (\d+) (\d+)", output)
    assert match is not None, output
    assert int(match[3]) < _STATEMENTS_A_ROUND, "statements were repeated: make more of them"
    return float(match[1]), float(match[2]), int(match[4])


async def _limit(limit: Path, directory: Path) -> float:
    found = directory / "limit.json"
    command = [
        sys.executable, limit, "--cases", "sqlite-full", "--rounds", "1", "--secs", str(_SECONDS),
        "--conns", str(_CONNECTIONS), "--dir", directory, "--json", found,
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
    output = (await process.communicate())[0].decode()
    return _rate(json.loads(found.read_text(encoding="utf-8")) if found.exists() else None, output)


def _rate(document: object, output: str) -> float:
    """Find the requests a second in what the limit's program wrote."""
    match = re.search(r"\"rps\": ?([0-9.]+)", json.dumps(document)) if document is not None else None
    assert match is not None, output
    return float(match[1])
