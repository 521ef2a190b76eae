"""The agent from its start to the container running, beside `docker pull` and `docker run` of the same image.

All stages take part: credentials from S3, a value from KMS, the health check; and once more without those three.
"""

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


BUCKET = "bench-stups-mint"
PAIR = {
    "user.json": {"application_username": "u", "application_password": "p"},
    "client.json": {"client_id": "c", "client_secret": "s"},
}


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Interleave all three, the image removed before each, and print the medians."""
    whole, plain, docker_alone = [], [], []
    async with landscape() as scape:
        image = await scape.build("bench", "1.0", scm=scape.greeter_scm(0))
        by_digest = f"{image.reference.rpartition(':')[0]}@{image.digest}"
        await scape.aws.put_credentials(BUCKET, "bench", PAIR)
        secret = await scape.aws.encrypt("a secret")
        more = f"mint_bucket: {BUCKET}\nhealth_check_path: /health\nenvironment: {{DB: 'aws:kms:{secret}'}}\n"
        async with aggregator(directory, scape.logs, authority_pem=scape.authority_pem) as server:
            for number in range(1, rounds + 3):
                docker_alone.append(await _docker(scape, by_digest))
                plain.append(await _agent(scape, directory / f"{number}-plain", image.reference, server.url))
                whole.append(await _agent(scape, directory / f"{number}-whole", image.reference, server.url, more))
                print(
                    f"round {number}: all stages {whole[-1]:.2f} s, without S3, KMS and health {plain[-1]:.2f} s, "
                    f"docker {docker_alone[-1]:.2f} s",
                    flush=True,
                )
    theirs = statistics.median(docker_alone)
    for name, ours in (("all stages", statistics.median(whole)), ("without S3, KMS, health", statistics.median(plain))):
        print(
            f"median, {name}: whence-agent {ours:.2f} s, docker pull + docker run {theirs:.2f} s: {ours - theirs:+.2f} s"
        )


async def _docker(scape: Landscape, by_digest: str) -> float:
    environment = {**os.environ, "DOCKER_HOST": scape.engine}
    began = time.perf_counter()
    await run("docker", "pull", "-q", by_digest, environment=environment)
    await run("docker", "run", "-d", "--name", "whence-bench", by_digest, environment=environment)
    taken = time.perf_counter() - began
    await _clean(scape, "whence-bench", by_digest)
    return taken


async def _agent(scape: Landscape, directory: Path, reference: str, aggregator_url: str, more: str = "") -> float:
    directory.mkdir()
    user_data = (
        "#taupage-ami-config\napplication_id: bench\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {reference}\nports: {{{free_port()}: 8080}}\n{more}"
    )
    async with scape.instance(user_data.encode()) as service:
        settings = AgentSettings(
            metadata_url=service.url,
            aggregator_url=aggregator_url,
            engine=scape.engine,
            aws_url=scape.aws.url,
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
