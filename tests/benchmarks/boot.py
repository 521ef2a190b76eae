"""The agent from its start to the container running, beside `docker pull` and `docker run` of the same image."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from pathlib import Path
from typing import Any

import docker

from landscape.processes import free_port, run
from landscape.programs import AgentSettings, agent, aggregator
from landscape.whole import Landscape, landscape
from whence_common.pause import pause

_LOOK_SECONDS = 0.005


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Interleave both, the image removed before each, and print the medians."""
    ours, docker_alone = [], []
    async with landscape() as scape:
        image = await scape.build("bench", "1.0", scm=scape.greeter_scm(0))
        by_digest = f"{image.reference.rpartition(':')[0]}@{image.digest}"
        async with aggregator(directory, scape.logs, authority_pem=scape.authority_pem) as server:
            for number in range(1, rounds + 3):
                docker_alone.append(await _docker(scape, by_digest))
                ours.append(await _agent(scape, directory / str(number), image.reference, server.url))
                print(f"round {number}: whence-agent {ours[-1]:.2f} s, docker {docker_alone[-1]:.2f} s", flush=True)
    mine, theirs = statistics.median(ours), statistics.median(docker_alone)
    print(f"median: whence-agent {mine:.2f} s, docker pull + docker run {theirs:.2f} s: {mine - theirs:+.2f} s")


async def _docker(scape: Landscape, by_digest: str) -> float:
    environment = {**os.environ, "DOCKER_HOST": scape.engine}
    began = time.perf_counter()
    await run("docker", "pull", "-q", by_digest, environment=environment)
    await run("docker", "run", "-d", "--name", "whence-bench", by_digest, environment=environment)
    taken = time.perf_counter() - began
    await _clean(scape, "whence-bench", by_digest)
    return taken


async def _agent(scape: Landscape, directory: Path, reference: str, aggregator_url: str) -> float:
    directory.mkdir()
    user_data = (
        "#taupage-ami-config\napplication_id: bench\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {reference}\nports: {{{free_port()}: 8080}}\n"
    )
    async with scape.instance(user_data.encode()) as service:
        settings = AgentSettings(
            metadata_url=service.url,
            aggregator_url=aggregator_url,
            engine=scape.engine,
            immutable_registries=(scape.registry,),
        )
        began = time.perf_counter()
        async with agent(directory, scape.logs, settings, name="whence-bench") as running:
            while not await asyncio.to_thread(_runs, scape.engine, "whence-bench"):
                await pause(_LOOK_SECONDS)
            taken = time.perf_counter() - began
            status = await running.until("ok", "degraded")
        digest = status["image"]["digest"]
        await _clean(scape, "whence-bench", f"{reference.rpartition(':')[0]}@{digest}")
    return taken


def _runs(engine: str, name: str) -> bool:
    client: Any = docker.APIClient(base_url=engine, version="1.40", timeout=10)
    try:
        return bool(client.inspect_container(name)["State"]["Running"])
    except docker.errors.NotFound:
        return False
    finally:
        client.close()


async def _clean(scape: Landscape, name: str, image: str) -> None:
    await scape.remove_container(name)
    await run("docker", "rmi", "-f", image, environment={**os.environ, "DOCKER_HOST": scape.engine})
