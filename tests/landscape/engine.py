"""A Docker Engine: the one that runs, else one of our own when we are root, else a message that says how to get one."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import docker

from landscape.processes import NotReady, started

_DEFAULT_SOCKET = "/var/run/docker.sock"


@asynccontextmanager
async def docker_engine(directory: Path, logs: Path) -> AsyncIterator[str]:
    """Give the URL of an engine's socket."""
    running = os.environ.get("DOCKER_HOST", f"unix://{_DEFAULT_SOCKET}")
    if await _answers(running):
        yield running
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        raise NotReady(
            "no Docker Engine runs, and this user cannot start one: "
            "apt-get install docker.io, then systemctl start docker, or run this as root"
        )
    home = directory / "engine"
    home.mkdir()
    socket = f"unix://{home}/docker.sock"
    command = [
        "dockerd", "--host", socket, "--data-root", str(home / "data"), "--exec-root", str(home / "exec"),
        "--pidfile", str(home / "pid"),
    ]  # fmt: skip
    async with started("dockerd", command, logs=logs, ready=lambda: _answers(socket)):
        yield socket


async def _answers(url: str) -> bool:
    def ping() -> bool:
        try:
            client = docker.APIClient(base_url=url, version="auto", timeout=5)
        except docker.errors.DockerException:
            return False
        try:
            return bool(client.ping())
        except docker.errors.DockerException:
            return False
        finally:
            client.close()

    return await asyncio.to_thread(ping)
