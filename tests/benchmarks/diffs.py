"""`GET /v1/diff` over a thousand commits, answered from storage by the real program, on SQLite and on PostgreSQL.

One diff is asked for again and again; before that, each of several others is asked for once when its range is read and
encoded, which is the most that a diff takes.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import time
from pathlib import Path

import aiohttp

from fakes.agent_client import AgentClient
from fakes.machine import Machine, scm
from fakes.signing_authority import SigningAuthority
from landscape.bare import Bare
from landscape.made_history import REPOSITORY
from landscape.postgres import new_database, postgres
from landscape.programs import Aggregator, aggregator
from landscape.seeded_history import seeded_history
from whence_common.runtime.pause import pause

_COMMITS = 1_000
_WARMING = 50
_ASKED = 300
_P99_MILLISECONDS_MAX = 50.0
_COLLECTED_SECONDS_MAX = 120.0
_HOST = "git.example.org"
_OTHERS = 5
_HEAD = f"i-{0:017x}"
_OLDER = [f"i-{number:017x}" for number in range(1, _OTHERS + 2)]


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print the latency of one diff beside that of `/health`; the bound is 50 ms at the 99th percentile."""
    print(f"load averages: {', '.join(f'{one:.1f}' for one in os.getloadavg())}", flush=True)
    del limit
    (directory / "git" / "acme").mkdir(parents=True)
    bare = Bare(directory / "git" / "acme", "greeter")
    seeded_history(bare, commits_min=3 * _COMMITS, seed=21)
    head = bare.git("rev-parse", "main")
    older = itertools.islice(
        (
            one for one in bare.git("rev-list", "--first-parent", "main").split()
            if int(bare.git("rev-list", "--count", f"{one}..main")) >= _COMMITS
        ),
        _OTHERS + 1,
    )  # fmt: skip
    ends = [head, *older]
    await _on("SQLite", directory, None, ends, rounds)
    async with postgres(directory, directory) as dsn:
        await _on("PostgreSQL", directory, await new_database(dsn, "diffs"), ends, rounds)


async def _on(name: str, directory: Path, database: str | None, ends: list[str], rounds: int) -> None:
    authority = SigningAuthority.make()
    servers = {_HOST: {"mirror_directory": str(directory / "git")}}
    async with (
        aggregator(
            directory,
            directory,
            authority_pem={"eu-central-1": authority.pem},
            name=name.lower(),
            database=database,
            git_servers=servers,
        ) as server,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {server.token}"}) as session,
    ):
        client = AgentClient(session, server.url)
        for instance, commit in zip((_HEAD, *_OLDER), ends, strict=True):
            machine = Machine(authority, instance)
            await client.enrol(machine)
            status, _ = await client.say(machine, scm_source=scm(url=f"https://{_HOST}/{REPOSITORY}", revision=commit))
            assert status == 201
        diff, parameters = f"{server.url}/v1/diff", {"a": _OLDER[0], "b": _HEAD}
        first = []
        for one in _OLDER:
            await _collected(session, server, one)
            first.append((await _milliseconds(session, diff, {"a": one, "b": _HEAD}))[0])
        for _ in range(_WARMING):
            await _milliseconds(session, diff, parameters)
        taken, base, size, began = [], [], 0, _cpu_seconds(server)
        for _ in range(max(rounds, 3)):
            for _ in range(_ASKED // 3):
                milliseconds, size = await _milliseconds(session, diff, parameters)
                taken.append(milliseconds)
                base.append((await _milliseconds(session, f"{server.url}/health", {}))[0])
        spent = (_cpu_seconds(server) - began) / len(taken) * 1e3
    p50, p99 = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
    kept = "kept" if p99 <= _P99_MILLISECONDS_MAX else "NOT KEPT"
    print(
        f"{name}: diff over {_COMMITS} commits, {size / 1e3:.0f} kB, {len(taken)} times: p50 {p50:.1f} ms, p99 {p99:.1f} ms "
        f"(at most {_P99_MILLISECONDS_MAX:.0f}): {kept}; {spent:.1f} ms of CPU each; "
        f"{len(first)} others, read and encoded: p50 {statistics.median(first):.1f} ms, at most {max(first):.1f} ms; "
        f"/health p50 {statistics.median(base):.2f} ms, p99 {statistics.quantiles(base, n=100)[98]:.1f} ms",
        flush=True,
    )


def _cpu_seconds(server: Aggregator) -> float:
    """Return the CPU time that the program has used, which other load on the machine changes little."""
    fields = Path(f"/proc/{server.process.process.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _collected(session: aiohttp.ClientSession, server: Aggregator, instance: str) -> None:
    """Wait until the diff to the newest instance has all commits."""
    found: dict[str, list[object]] = {}
    async with asyncio.timeout(_COLLECTED_SECONDS_MAX):
        while len(found.get("only_b", ())) < _COMMITS:
            async with session.get(f"{server.url}/v1/diff", params={"a": instance, "b": _HEAD}) as answer:
                assert answer.status == 200
                found = (await answer.json())["commits"]
            await pause(0.2)


async def _milliseconds(session: aiohttp.ClientSession, url: str, parameters: dict[str, str]) -> tuple[float, int]:
    """Return how long an answer took, and its size."""
    began = time.perf_counter()
    async with session.get(url, params=parameters) as answer:
        assert answer.status == 200
        size = len(await answer.read())
    return (time.perf_counter() - began) * 1e3, size
