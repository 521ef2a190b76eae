"""Statements and heartbeats a second end to end, durable before the acknowledgement, beside the physical limit in the same
minutes: on SQLite beside sqlite-full and sqlite-hb, on PostgreSQL beside pg-full.

The limit's server is driven by the same client as ours, and neither is told anything twice: SQLite writes nothing for a row
that stays as it is, so that a limit that repeats its heartbeats would commit without touching its disk.

Clients that never rest wait for one another: their latency is their number by the rate, whatever the server. So each side is
measured once more at seven tenths of what it took.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import itertools
import json
import re
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from fakes.agent_client import AgentClient
from fakes.machine import DIGEST, Machine
from fakes.signing_authority import SigningAuthority
from landscape.postgres import new_database, postgres
from landscape.processes import answers, free_port, started
from landscape.programs import aggregator
from whence_common.clock import from_millis
from whence_common.heartbeat import Heartbeat, derive_key, mac

MACHINES = 1_000
_CONNECTIONS = (64, 256)
_SECONDS = 4
_TURNS = 2
"""Ours and the limit's in turn, so often in a round: short turns have more of their minutes in common."""
_STATEMENTS_A_TURN = 30_000
_BEATS_A_TURN = 150_000
_QUIET_SECONDS_MAX = 15
_BEGIN_MILLIS = 1_793_000_000_000
LIMITS = dict.fromkeys(("statements_per_instance", "statements_per_account", "heartbeats_per_instance", "enrolments_per_instance", "enrolments_per_account", "challenges_per_address", "enrolment_attempts_per_address"), 1000000.0)  # fmt: skip
LUA = r"""
local requests, n = {}, 0
function init(args)
  for line in io.lines(args[1]) do
    local past = line:find("\t\t", 1, true)
    local headers = {["Content-Type"] = "application/json"}
    for name, value in line:sub(1, past - 1):gmatch("([^:\t]+): ([^\t]*)") do headers[name] = value end
    requests[#requests + 1] = wrk.format("POST", nil, headers, line:sub(past + 2))
  end
  local rest = tonumber(args[2])
  if rest > 0 then
    function delay() return math.random(0, 2 * rest) end
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
"""A request a line: headers with a tab between them, two tabs, the body; and how many milliseconds a client rests."""
_SHARE = 0.7


@dataclass(frozen=True)
class Side:
    """One of the two: where it listens, and what it is told next; nothing twice."""

    url: str
    bodies: Callable[[], Iterable[bytes]]


@dataclass
class Measured:
    rates: list[float]
    p99s: list[float]


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Interleave product and limit, print the medians and their ratios."""
    (directory / "ingest.lua").write_text(LUA, encoding="ascii")
    program = loaded(limit)
    await _on(directory / "on-sqlite", None, rounds=rounds, program=program)
    async with postgres(directory, directory) as dsn:
        await _on(directory / "on-postgres", dsn, rounds=rounds, program=program)


def loaded(limit: Path) -> Any:
    """Load the limit's program for its bodies, keys and patience; None where it is not there."""
    if not limit.exists():
        print(f"the limit is not measured: {limit} is not there (--limit)")
        return None
    spec = importlib.util.spec_from_file_location("limit_bench", limit)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def _on(directory: Path, dsn: str | None, *, rounds: int, program: Any) -> None:
    directory.mkdir()
    authority = SigningAuthority.make()
    database = await new_database(dsn, "product") if dsn is not None else None
    async with (
        aggregator(
            directory, directory, authority_pem={"eu-central-1": authority.pem}, database=database, limits=LIMITS
        ) as server,
        aiohttp.ClientSession() as session,
    ):
        machines = await enrolled(authority, session, server.url)
        ours = Side(server.url + "/v1/statements", lambda: statements(machines))
        await _beside(ours, "sqlite-full" if dsn is None else "pg-full", directory, dsn, rounds, program)
        if dsn is None:
            secret = (directory / "aggregator" / "heartbeat.secret").read_bytes()
            numbers = itertools.count()
            ours = Side(server.url + "/v1/heartbeats", lambda: _beats(secret, numbers))
            await _beside(ours, "sqlite-hb", directory, dsn, rounds, program)


async def enrolled(authority: SigningAuthority, session: aiohttp.ClientSession, url: str) -> list[Machine]:
    """Give machines whose keys the aggregator knows."""
    machines = [Machine(authority, f"i-{number:017x}") for number in range(MACHINES)]
    client = AgentClient(session, url)
    for start in range(0, MACHINES, 50):
        await asyncio.gather(*(client.enrol(machine) for machine in machines[start : start + 50]))
    return machines


async def _beside(ours: Side, case: str, directory: Path, dsn: str | None, rounds: int, program: Any) -> None:
    """Measure in turn, so that both have the same minutes."""
    async with AsyncExitStack() as stack:
        sides = {"whence": ours}
        if program is not None:
            sides[case] = await stack.enter_async_context(_limit(program, case, directory, dsn))
        for connections in _CONNECTIONS:
            found = {name: Measured([], []) for name in sides}
            for turn in range(rounds * _TURNS):
                for name in list(sides) if turn % 2 else reversed(sides):
                    rate, p99 = await told(sides[name], connections, directory, program)
                    found[name].rates.append(rate)
                    found[name].p99s.append(p99)
            for name, one in found.items():
                rate = statistics.median(one.rates)
                rests = [
                    await told(sides[name], connections, directory, program, rest_ms=connections / rate / _SHARE * 1e3)
                    for _ in range(rounds)
                ]
                rates = " ".join(f"{rate:,.0f}" for rate in one.rates)
                print(
                    f"{connections} connections: {name} {rate:,.0f} a second ({rates}),"
                    f" p99 {statistics.median(one.p99s):.0f} ms (worst {max(one.p99s):.0f});"
                    f" at {statistics.median(rate for rate, _ in rests):,.0f} a second"
                    f" {statistics.median(p99 for _, p99 in rests):.0f} ms (worst {max(p99 for _, p99 in rests):.0f})",
                    flush=True,
                )
            if len(found) > 1:
                product, beside = found["whence"], found[case]
                each = [a / b for a, b in zip(product.rates, beside.rates, strict=True)]
                waits = statistics.median(a / b for a, b in zip(product.p99s, beside.p99s, strict=True))
                print(
                    f"ratio to {case} at {connections} connections: {statistics.median(each):.2f}"
                    f" (from {min(each):.2f} to {max(each):.2f}); of the p99s: {waits:.2f}",
                    flush=True,
                )


async def told(
    side: Side, connections: int, directory: Path, program: Any, *, rest_ms: float = 0.0
) -> tuple[float, float]:
    """Tell one side what it has not heard yet; give the rate a second, and p99 in milliseconds.

    Each client says the next thing at once, or rests so long in the mean.
    """
    bodies, count = directory / "bodies", 0
    with bodies.open("wb") as sink:
        for body in side.bodies():
            sink.write(body + b"\n")
            count += 1
    if program is not None:
        await asyncio.to_thread(program.quiet, wait=_QUIET_SECONDS_MAX)
    script = directory.parent / "ingest.lua"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{_SECONDS}s", "-s", script, side.url, "--", bodies, round(rest_ms)]
    process = await asyncio.create_subprocess_exec(*map(str, command), stdout=asyncio.subprocess.PIPE)
    output = (await process.communicate())[0].decode()
    match = re.search(r"RESULT (\S+) (\S+) (\d+) (\d+)", output)
    assert match is not None, output
    assert match[4] == "0", f"{match[4]} errors: {output}"
    assert int(match[3]) < count, "something was said twice: make more of it"
    return float(match[1]), float(match[2])


def statements(machines: list[Machine]) -> Iterator[bytes]:
    for number in range(_STATEMENTS_A_TURN):
        yield b"\t\t" + machines[number % len(machines)].statement()


def _beats(secret: bytes, numbers: Iterator[int]) -> Iterator[bytes]:
    for number in itertools.islice(numbers, _BEATS_A_TURN):
        name = f"i-{number % MACHINES:017x}"
        beat = Heartbeat(
            instance_id=name, enrolment=1, counter=number // MACHINES + 1, sequence=1, state_digest=DIGEST,
            sent_at=datetime.now(UTC),
        )  # fmt: skip
        body = beat.to_wire()
        stated = mac(derive_key(secret, instance_id=name, enrolment=1), body)
        yield b"Whence-MAC: " + stated.encode() + b"\t\t" + body


@asynccontextmanager
async def _limit(program: Any, case: str, directory: Path, dsn: str | None) -> AsyncIterator[Side]:
    """Start the limit's server; it is told of as many instances as ours, each time something else."""
    port = free_port()
    command = [
        sys.executable, program.__file__, "--serve", case, "--port", str(port), "--dir", directory, "--pg", dsn or "",
    ]  # fmt: skip
    numbers = itertools.count()
    keys = program.keys(64)

    def reports() -> Iterator[bytes]:
        for number in range(_STATEMENTS_A_TURN):
            body = json.dumps(program.report(number % MACHINES, next(numbers)), separators=(",", ":")).encode()
            signature = base64.b64encode(keys[number % 64].sign(body))
            yield b"X-Key: k%d\tX-Sig: %s\t\t%s" % (number % 64, signature, body)

    def beats() -> Iterator[bytes]:
        for number in range(_BEATS_A_TURN):
            said = {
                "kind": "hb",
                "instance_id": f"i-{number % MACHINES:017x}",
                "seq": number,
                "state_sha256": DIGEST[7:],
            }
            said["reported_at"] = from_millis(_BEGIN_MILLIS + next(numbers))
            yield b"\t\t" + json.dumps(said, separators=(",", ":")).encode()

    async with started(case, command, logs=directory, ready=lambda: answers(port)):
        yield Side(f"http://127.0.0.1:{port}/v1/reports", beats if case == "sqlite-hb" else reports)
