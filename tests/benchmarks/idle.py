"""An agent that has booted and keeps credentials: its memory and its share of a core, and 500 polls without growth.

With `--beside` the agent of another checkout does the same, in turns.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agents import Memory, Tree, started_agent, trees
from benchmarks.boot import BUCKET, PAIR
from landscape.processes import free_port
from landscape.programs import AgentSettings, aggregator
from landscape.whole import Landscape, landscape
from whence_common.runtime.pause import pause

_SETTLE_SECONDS = 10.0
_IDLE_SECONDS = 60.0
_POLLS = 500
_NAME = "whence-idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What every agent needs; each boots an instance of its own, since a key belongs to one."""

    scape: Landscape
    user_data: bytes
    aggregator_url: str


async def measure(directory: Path, *, rounds: int, limit: Path, beside: Path | None = None) -> None:
    """Print memory after the boot, the share of a core at rest, and the growth over polls; the first round is a warm-up."""
    async with landscape() as scape:
        image = await scape.build("idle", "1.0", scm=scape.greeter_scm(0))
        await scape.aws.put_credentials(BUCKET, "bench", PAIR)
        user_data = (
            "#taupage-ami-config\napplication_id: bench\napplication_version: '1.0'\nruntime: Docker\n"
            f"source: {image.reference}\nports: {{{free_port()}: 8080}}\nhealth_check_path: /health\n"
            f"mint_bucket: {BUCKET}\n"
        )
        async with aggregator(directory, scape.logs, authority_pem=scape.authority_pem) as server:
            bench = _Bench(scape=scape, user_data=user_data.encode(), aggregator_url=server.url)
            held: dict[str, list[Memory]] = defaultdict(list)
            for number in range(rounds + 1):
                for tree in trees(directory, beside):
                    home = directory / f"{number}-{tree.name.replace(' ', '-')}"
                    idle = _IDLE_SECONDS if number == rounds else 0.0
                    memory = await _rest(bench, tree, home, idle_seconds=idle)
                    if number:
                        held[tree.name].append(memory)
                        print(f"round {number}, {tree.name}: {memory}", flush=True)
            _tell(held)
            await _polls(bench, trees(directory, None)[0], directory / "polls")


@asynccontextmanager
async def _booted(bench: _Bench, tree: Tree, home: Path, **extra: object) -> AsyncIterator[int]:
    """Boot an instance of its own and give the agent's process id."""
    home.mkdir()
    scape = bench.scape
    async with scape.instance(bench.user_data) as service:
        settings = AgentSettings(
            metadata_url=service.url, aggregator_url=bench.aggregator_url, engine=scape.engine, aws_url=scape.aws.url,
            immutable_registries=(scape.registry,),
            extra={"watch_seconds": 5.0, "heartbeat_seconds": 60.0, "health_seconds": 10.0, **extra},
        )  # fmt: skip
        async with started_agent(tree, home, scape.logs, settings, name=_NAME) as started:
            await started.agent.until("ok")
            yield started.agent.process.process.pid
    await scape.remove_container(_NAME)


def _tell(held: dict[str, list[Memory]]) -> None:
    for name, each in held.items():
        median = Memory(
            rss=statistics.median(one.rss for one in each),
            pss=statistics.median(one.pss for one in each),
            anonymous=statistics.median(one.anonymous for one in each),
        )
        print(f"at rest, {name}, medians of {len(each)}: {median}", flush=True)
    if "beside" in held:
        pairs = zip(held["this tree"], held["beside"], strict=True)
        print(f"resident: {statistics.median(a.rss / b.rss for a, b in pairs):.2f} times beside", flush=True)


async def _rest(bench: _Bench, tree: Tree, home: Path, *, idle_seconds: float) -> Memory:
    """Boot, let it come to rest, and give its memory; print its share of a core over the seconds, if there are any."""
    async with _booted(bench, tree, home) as pid:
        await pause(_SETTLE_SECONDS)
        memory = Memory.of(pid)
        if idle_seconds:
            before, began = _cpu_seconds(pid), time.monotonic()
            await pause(idle_seconds)
            share = (_cpu_seconds(pid) - before) / (time.monotonic() - began)
            print(f"{tree.name}: {share:.2%} of a core at rest; then {Memory.of(pid)}", flush=True)
    return memory


async def _polls(bench: _Bench, tree: Tree, home: Path) -> None:
    log = bench.scape.logs / "moto.log"
    earlier = _count(log)
    async with _booted(bench, tree, home, credentials_poll_seconds=0.02) as pid:
        await pause(1.0)
        first, asked = Memory.of(pid), time.monotonic()
        await pause(_POLLS * 0.04)
        grown, took = Memory.of(pid).rss - first.rss, time.monotonic() - asked
        print(f"{_count(log) - earlier} polls of S3 in {took:.0f} s: {grown:+.1f} MB", flush=True)


def _count(log: Path) -> int:
    return log.read_text(encoding="utf-8").count(f"/{BUCKET}/bench/client.json")


def _cpu_seconds(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
