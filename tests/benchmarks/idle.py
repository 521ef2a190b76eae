"""An agent that has booted and keeps credentials: its memory and its share of a core, and 500 polls without growth.

With `--beside` the agent of another checkout does the same, in turns.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from benchmarks.agents import Memory, Tree, started_agent, trees
from benchmarks.boot import BUCKET, PAIR
from landscape.processes import free_port
from landscape.programs import AgentSettings, aggregator
from landscape.whole import Landscape, landscape
from whence_common.pause import pause

_SETTLE_SECONDS = 10.0
_IDLE_SECONDS = 60.0
_POLLS = 500
_NAME = "whence-idle"


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
        async with (
            aggregator(directory, scape.logs, authority_pem=scape.authority_pem) as server,
            scape.instance(user_data.encode()) as service,
        ):
            settings = AgentSettings(
                metadata_url=service.url, aggregator_url=server.url, engine=scape.engine, aws_url=scape.aws.url,
                immutable_registries=(scape.registry,),
                extra={"watch_seconds": 5.0, "heartbeat_seconds": 60.0, "health_seconds": 10.0},
            )  # fmt: skip
            held: dict[str, list[Memory]] = defaultdict(list)
            for number in range(rounds + 1):
                for tree in trees(directory, beside):
                    home = directory / f"{number}-{tree.name.replace(' ', '-')}"
                    idle = _IDLE_SECONDS if number == rounds else 0.0
                    memory = await _rest(scape, tree, home, settings, idle_seconds=idle)
                    if number:
                        held[tree.name].append(memory)
                        print(f"round {number}, {tree.name}: {memory}", flush=True)
            _tell(held)
            await _polls(scape, trees(directory, None)[0], directory / "polls", settings)


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


async def _rest(
    scape: Landscape, tree: Tree, directory: Path, settings: AgentSettings, *, idle_seconds: float
) -> Memory:
    """Boot, let it come to rest, and give its memory; print its share of a core over the seconds, if there are any."""
    directory.mkdir()
    async with started_agent(tree, directory, scape.logs, settings, name=_NAME) as started:
        await started.agent.until("ok")
        pid = started.agent.process.process.pid
        await pause(_SETTLE_SECONDS)
        memory = Memory.of(pid)
        if idle_seconds:
            before, began = _cpu_seconds(pid), time.monotonic()
            await pause(idle_seconds)
            share = (_cpu_seconds(pid) - before) / (time.monotonic() - began)
            print(f"{tree.name}: {share:.2%} of a core at rest; then {Memory.of(pid)}", flush=True)
    await scape.remove_container(_NAME)
    return memory


async def _polls(scape: Landscape, tree: Tree, directory: Path, settings: AgentSettings) -> None:
    directory.mkdir()
    settings = replace(settings, extra={**settings.extra, "credentials_poll_seconds": 0.02})
    log = scape.logs / "moto.log"
    earlier = _count(log)
    async with started_agent(tree, directory, scape.logs, settings, name=_NAME) as started:
        await started.agent.until("ok")
        pid = started.agent.process.process.pid
        await pause(1.0)
        first, asked = Memory.of(pid), time.monotonic()
        await pause(_POLLS * 0.04)
        grown, took = Memory.of(pid).rss - first.rss, time.monotonic() - asked
        print(f"{_count(log) - earlier} polls of S3 in {took:.0f} s: {grown:+.1f} MB", flush=True)
    await scape.remove_container(_NAME)


def _count(log: Path) -> int:
    return log.read_text(encoding="utf-8").count(f"/{BUCKET}/bench/client.json")


def _cpu_seconds(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
