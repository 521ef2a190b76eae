"""A Docker Engine: the one that runs, else one of our own when we are root, else a message that says how to get one."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import docker

from landscape.processes import NotReady, run, started

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
    # containerd's sockets stand below here, and a socket's path has a hundred characters at most
    sockets = Path(tempfile.mkdtemp(prefix="whence-engine-", dir="/run"))
    socket = f"unix://{sockets}/docker.sock"
    command = [
        "dockerd", "--host", socket, "--data-root", str(directory / "engine"), "--exec-root", str(sockets / "exec"),
        "--pidfile", str(sockets / "pid"), "--max-download-attempts", "1",
    ]  # fmt: skip
    try:
        async with started("dockerd", command, logs=logs, ready=lambda: _answers(socket)):
            yield socket
    finally:
        await _unmount_below(directory, sockets)
        shutil.rmtree(sockets, ignore_errors=True)


async def _unmount_below(*places: Path) -> None:
    """Undo the mounts that dockerd leaves behind when it is killed or fails at its start."""
    mounts = [line.split(" ")[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    left = [mount for mount in mounts if any(mount.startswith(f"{place}/") for place in places)]
    for mount in sorted(left, reverse=True):
        await run("umount", "--lazy", mount)


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
