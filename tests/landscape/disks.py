"""Disks for tests: files behind loop devices, in a /dev of their own, and the helper that systemd would start."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from landscape.processes import NotReady, run, started
from landscape.programs import BIN

DISK_BYTES = 320 * 1024 * 1024
"""As small as xfs takes."""


class Disks:
    """A /dev of its own. `add` makes a disk there; mounts stand below `mounts`."""

    def __init__(self, directory: Path) -> None:
        self.dev = directory / "dev"
        self.mounts = directory / "mounts"
        self.dev.mkdir()
        self._files = directory / "disks"
        self._files.mkdir()
        self._loops: list[str] = []

    async def add(self, name: str) -> Path:
        """Add a blank disk; give the loop device behind it. Raises NotReady where the kernel gives none."""
        file = self._files / name.replace("/", "-")
        with file.open("wb") as stream:
            stream.truncate(DISK_BYTES)
        loop = (await run("losetup", "--find", "--show", file)).strip()
        self._loops.append(loop)
        link = self.dev / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(loop)
        return Path(loop)

    async def mounted(self, path: str) -> str:
        """Give type and options of what is mounted at a path; empty when nothing is."""
        try:
            return (await run("findmnt", "-n", "-o", "FSTYPE,OPTIONS", self.mounts / path.lstrip("/"))).strip()
        except NotReady:
            return ""

    async def unmount(self, path: str) -> None:
        await run("umount", self.mounts / path.lstrip("/"))

    async def remove(self) -> None:
        """Unmount and detach everything."""
        for line in reversed(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()):
            target = line.split()[4]
            if target.startswith(f"{self.dev.parent}/"):
                await run("umount", target)
        for loop in self._loops:
            await run("losetup", "--detach", loop)


@asynccontextmanager
async def disks(directory: Path) -> AsyncIterator[Disks]:
    made = Disks(directory)
    try:
        yield made
    finally:
        await made.remove()


@asynccontextmanager
async def machine_helper(
    directory: Path, logs: Path, *, dev: Path, mounts: Path, root: Path = Path("/"), path: str | None = None
) -> AsyncIterator[Path]:
    """Start the helper by socket activation, as its unit does; give its socket."""
    socket, config = directory / "machine.sock", directory / "machine.yaml"
    document = {"aggregator_url": "https://whence.example.org", "mounts_directory": str(mounts)}
    config.write_text(json.dumps(document), encoding="utf-8")
    command = [
        "systemd-socket-activate", "--accept", "--inetd", f"--listen={socket}", BIN / "whence-agent", "machine",
        "--config", config, "--dev", dev, "--root", root, "--wait-seconds", "1",
    ]  # fmt: skip

    async def ready() -> bool:
        """Whether somebody listens: the file is there a moment before that."""
        sockets = [line.split() for line in Path("/proc/net/unix").read_text(encoding="utf-8").splitlines()]
        return any(line[-1] == str(socket) and line[3] == "00010000" for line in sockets)

    async with started("machine-helper", command, logs=logs, ready=ready):
        yield socket
