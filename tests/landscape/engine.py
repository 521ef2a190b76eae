"""A Docker Engine: the one that runs, else one of our own when we are root, else a message that says how to get one."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import docker

from landscape.processes import NotReady, Process, run, started

_DEFAULT_SOCKET = "/var/run/docker.sock"
_PODMAN = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
"""Its own limits of files are more than some machines allow, and without systemd it needs the rest."""


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
    async with own_engine(directory, logs) as own, own.running():
        yield own.socket


class OwnEngine:
    """An engine of our own, which a test starts and stops again and again on the same data, freezes and thaws."""

    def __init__(self, sockets: Path, directory: Path, logs: Path, options: tuple[str, ...]) -> None:
        self.sockets = sockets
        self.socket = f"unix://{sockets}/docker.sock"
        self._command = [
            "dockerd", "--host", self.socket, "--data-root", str(directory / "engine"), "--exec-root",
            str(sockets / "exec"), "--pidfile", str(sockets / "pid"), "--max-download-attempts", "1", *options,
        ]  # fmt: skip
        self._logs = logs
        self._stack = AsyncExitStack()
        self._process: Process | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it for the block's duration."""
        await self.start()
        try:
            yield
        finally:
            await self.stop()

    async def start(self) -> None:
        """Start it and wait until it answers."""
        running = started("dockerd", self._command, logs=self._logs, ready=lambda: _answers(self.socket))
        self._process = await self._stack.enter_async_context(running)

    async def stop(self) -> None:
        """Have it go down in order, as `systemctl stop docker` does."""
        self.thaw()
        await self._stack.aclose()

    def freeze(self) -> None:
        """Have it take connections and never answer."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, which: signal.Signals) -> None:
        if self._process is not None and self._process.process.returncode is None:
            self._process.process.send_signal(which)


@asynccontextmanager
async def bridge() -> AsyncIterator[str]:
    """Make a bridge for an engine beside another one, and give its name: without one it would take docker0 away."""
    name = f"wh{os.getpid()}"
    await run("ip", "link", "add", name, "type", "bridge")
    try:
        await run("ip", "address", "add", "172.31.255.1/28", "dev", name)
        await run("ip", "link", "set", name, "up")
        yield name
    finally:
        await run("ip", "link", "delete", name)


@asynccontextmanager
async def own_engine(directory: Path, logs: Path, *options: str) -> AsyncIterator[OwnEngine]:
    """Give an engine of our own, not yet started, and remove what it leaves; needs root."""
    # containerd's sockets stand below here, and a socket's path has a hundred characters at most
    sockets = Path(tempfile.mkdtemp(prefix="whence-engine-", dir="/run"))
    engine = OwnEngine(sockets, directory, logs, options)
    try:
        yield engine
    finally:
        await engine.stop()
        await _unmount_below(directory, sockets)
        shutil.rmtree(sockets, ignore_errors=True)


@asynccontextmanager
async def podman(directory: Path, logs: Path, *, registry: str) -> AsyncIterator[str]:
    """Run Podman's service, which may pull from the registry without TLS; give the URL of its socket."""
    home = directory / "podman"
    home.mkdir()
    sockets = Path(tempfile.mkdtemp(prefix="whence-podman-", dir="/run"))
    socket = f"unix://{sockets}/podman.sock"
    (home / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
    (home / "containers.conf").write_text(_PODMAN)
    command = [
        "podman", "--root", str(home / "root"), "--runroot", str(sockets / "run"), "system", "service", "--time=0", socket,
    ]  # fmt: skip
    environment = {
        "CONTAINERS_REGISTRIES_CONF": str(home / "registries.conf"),
        "CONTAINERS_CONF": str(home / "containers.conf"),
    }
    try:
        async with started("podman", command, logs=logs, ready=lambda: _answers(socket), environment=environment):
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
