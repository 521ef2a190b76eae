"""The agent from its start to the container running, beside `docker pull` and `docker run` of the same image.

All stages take part: credentials from S3, a value from KMS, the health check; and once more without those three.
With `--beside` the agent of another checkout does the same, in turns.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from benchmarks.agents import Starts, Tree, container_starts, started_agent, trees
from landscape.processes import free_port, run
from landscape.programs import AgentSettings, aggregator
from landscape.whole import Landscape, landscape

_START_SECONDS_MAX = 60.0
_NAME = "whence-bench"
_DOCKER = "docker pull + docker run"

BUCKET = "bench-stups-mint"
PAIR = {
    "user.json": {"application_username": "u", "application_password": "p"},
    "client.json": {"client_id": "c", "client_secret": "s"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """What every round needs."""

    scape: Landscape
    starts: Starts
    repository: str
    digest: str
    tag: str
    aggregator_url: str
    more: str

    @property
    def by_digest(self) -> str:
        return f"{self.repository}@{self.digest}"


async def measure(directory: Path, *, rounds: int, limit: Path, beside: Path | None = None) -> None:
    """Interleave all, the image removed before each, and print minima, medians and ratios; the first round is a warm-up."""
    async with landscape() as scape, container_starts(scape) as starts:
        image = await scape.build("bench", "1.0", scm=scape.greeter_scm(0))
        repository, _, tag = image.reference.rpartition(":")
        await scape.aws.put_credentials(BUCKET, "bench", PAIR)
        secret = await scape.aws.encrypt("a secret")
        async with aggregator(directory, scape.logs, authority_pem=scape.authority_pem) as server:
            bench = _Bench(
                scape=scape, starts=starts, repository=repository, digest=image.digest, tag=tag,
                aggregator_url=server.url,
                more=f"mint_bucket: {BUCKET}\nhealth_check_path: /health\nenvironment: {{DB: 'aws:kms:{secret}'}}\n",
            )  # fmt: skip
            taken: dict[str, list[float]] = defaultdict(list)
            for number in range(rounds + 3):
                told = await _round(bench, directory, number, trees(directory, beside))
                if number:
                    for name, seconds in told.items():
                        taken[name].append(seconds)
                    print(f"round {number}: " + ", ".join(f"{n} {s:.2f} s" for n, s in told.items()), flush=True)
    _tell(taken)


async def _round(bench: _Bench, directory: Path, number: int, measured: list[Tree]) -> dict[str, float]:
    told = {_DOCKER: await _docker(bench)}
    for tree in measured:
        for kind, more in (("plain", ""), ("all stages", bench.more)):
            home = directory / f"{number}-{tree.name}-{kind}".replace(" ", "-")
            told[f"{tree.name}, {kind}"], answered = await _agent(bench, tree, home, more)
        told[f"{tree.name}, first status"] = answered
    return told


def _tell(taken: dict[str, list[float]]) -> None:
    theirs = taken.pop(_DOCKER)
    print(f"{_DOCKER}: min {min(theirs):.2f} s, median {statistics.median(theirs):.2f} s of {len(theirs)}")
    for name, ours in taken.items():
        text = f"{name}: min {min(ours):.3f} s, median {statistics.median(ours):.3f} s"
        if not name.endswith("status"):
            more = statistics.median(ours) - statistics.median(theirs)
            text += f", {more:+.2f} s over {_DOCKER} ({min(ours) - min(theirs):+.2f} s of the minima)"
        other = taken.get(name.replace("this tree", "beside")) if name.startswith("this tree") else None
        if other:
            ratio = statistics.median(a / b for a, b in zip(ours, other, strict=True))
            text += f", {ratio:.2f} times beside"
        print(text)


async def _docker(bench: _Bench) -> float:
    environment = {**os.environ, "DOCKER_HOST": bench.scape.engine}
    began = time.perf_counter()
    await run("docker", "pull", "-q", bench.by_digest, environment=environment)
    await run("docker", "run", "-d", "--name", _NAME, bench.by_digest, environment=environment)
    taken = time.perf_counter() - began
    await _clean(bench)
    return taken


async def _agent(bench: _Bench, tree: Tree, directory: Path, more: str) -> tuple[float, float]:
    """Boot once; give the seconds until the container ran, and until the first answer of the status."""
    directory.mkdir()
    user_data = (
        "#taupage-ami-config\napplication_id: bench\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {bench.repository}:{bench.tag}\nports: {{{free_port()}: 8080}}\n{more}"
    )
    scape, start = bench.scape, bench.starts.of(_NAME)
    async with scape.instance(user_data.encode()) as service:
        settings = AgentSettings(
            metadata_url=service.url, aggregator_url=bench.aggregator_url, engine=scape.engine, aws_url=scape.aws.url,
            immutable_registries=(scape.registry,),
        )  # fmt: skip
        async with started_agent(tree, directory, scape.logs, settings, name=_NAME) as started:
            async with asyncio.timeout(_START_SECONDS_MAX):
                taken = await start - started.began
            status = await started.agent.until("ok", "degraded")
        assert status["image"]["digest"] == bench.digest
    await _clean(bench)
    return taken, started.status_seconds


async def _clean(bench: _Bench) -> None:
    await bench.scape.remove_container(_NAME)
    await run("docker", "rmi", "-f", bench.by_digest, environment={**os.environ, "DOCKER_HOST": bench.scape.engine})
