"""Trace latency over HTTP with ten thousand instances, beside the same server's /health in the same run."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from benchmarks.ingest import LIMITS
from fakes.agent_client import AgentClient
from fakes.machine import COMMIT, DIGEST, Machine
from fakes.signing_authority import SigningAuthority
from landscape.programs import aggregator
from whence_common.clock import to_instant, utc_now

_INSTANCES = 10_000
_ASKED = 500
_AT_ONCE = 100


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Fill a store over HTTP, then ask the real program."""
    authority = SigningAuthority.make()
    async with (
        aggregator(directory, directory, authority_pem={"eu-central-1": authority.pem}, limits=LIMITS) as server,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {server.token}"}) as session,
    ):
        began = time.monotonic()
        await _fill(AgentClient(session, server.url), authority)
        filled_at = to_instant(utc_now())
        print(f"{_INSTANCES} instances enrolled and speaking after {time.monotonic() - began:.0f} s", flush=True)

        # the fleet is not heard by this program: it lists them only in any state
        def ask(path: str, **parameters: str) -> Callable[[int], Awaitable[None]]:
            async def once(number: int) -> None:
                filled = {name: value.format(number) for name, value in parameters.items()}
                async with session.get(server.url + path, params=filled) as answer:
                    assert answer.status == 200
                    await answer.read()

            return once

        base = await _latency(ask("/health"))
        print(f"/health: p50 {base[0]:.2f} ms, p99 {base[1]:.2f} ms")
        for name, question in {
            "trace by instance": ask("/v1/trace", instance="i-{:017x}"),
            "trace by instance at a time": ask("/v1/trace", instance="i-{:017x}", at=filled_at),
            "50 instances by image": ask("/v1/trace", image=DIGEST, state="any", limit="50"),
            "50 instances by commit prefix": ask("/v1/trace", commit=COMMIT[:12], state="any", limit="50"),
        }.items():
            p50, p99 = await _latency(question)
            print(f"{name}: p50 {p50:.2f} ms, p99 {p99:.2f} ms, {p50 / base[0]:.1f} times /health", flush=True)


async def _fill(client: AgentClient, authority: SigningAuthority) -> None:
    for start in range(0, _INSTANCES, _AT_ONCE):
        machines = [Machine(authority, f"i-{number:017x}") for number in range(start, start + _AT_ONCE)]
        await asyncio.gather(*(client.enrol(machine) for machine in machines))
        spoken = await asyncio.gather(*(client.say(machine) for machine in machines))
        assert {status for status, _ in spoken} == {201}


async def _latency(question: Callable[[int], Awaitable[None]]) -> tuple[float, float]:
    """Ask one at a time; give the median and the 99th percentile in milliseconds."""
    taken = []
    for number in range(_ASKED):
        began = time.perf_counter()
        await question(number * 17 % _INSTANCES)
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken), statistics.quantiles(taken, n=100)[98]
