"""An agent as systemd runs it: in mounts of its own, and started again whenever it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from landscape.processes import STOP_SECONDS_MAX, run
from landscape.programs import BIN
from whence_common.runtime.pause import pause

RESTART_SECONDS = 5.0
"""As in whence-agent.service."""
_ASK_SECONDS_MAX = 5.0
_MOUNTED = ("hosts", "resolv.conf", "nsswitch.conf")
_WITH_MOUNTS = " && ".join(f'mount --bind "$0/{name}" /etc/{name}' for name in _MOUNTED) + ' && exec "$@"'


@dataclass(slots=True)
class Supervised:
    """The agent's process, one after another. `starts` counts them."""

    home: Path
    url: str
    starts: int = 0
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    @property
    def log(self) -> Path:
        return self.home / "agent.log"

    def said(self) -> list[dict[str, Any]]:
        """Return the lines of its log."""
        found = []
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("{"):
                found.append(json.loads(line))
        return found

    async def status(self) -> dict[str, Any] | None:
        """Return the status document; None while nobody answers."""
        timeout = aiohttp.ClientTimeout(total=_ASK_SECONDS_MAX)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"{self.url}/status") as answer:
                document: dict[str, Any] = await answer.json(content_type=None)
                return document
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

    async def keep_running(self, command: Sequence[object]) -> None:
        """Run it for ever; a service that ends by cancellation only, and then stops the process."""
        with self.log.open("ab") as sink:
            while True:
                self.starts += 1
                self._process = await asyncio.create_subprocess_exec(
                    *map(str, command), stdin=asyncio.subprocess.DEVNULL, stdout=sink, stderr=sink,
                    start_new_session=True,
                )  # fmt: skip
                try:
                    await self._process.wait()
                finally:
                    await asyncio.shield(_stop(self._process))
                await pause(RESTART_SECONDS)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS_MAX):
            await process.wait()
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def with_name_server(etc: Path, address: str) -> list[str]:
    """Return the command before a program that knows names by this server only, and none from /etc/hosts."""
    etc.mkdir()
    (etc / "hosts").write_text("# every name is asked for\n", encoding="ascii")
    (etc / "resolv.conf").write_text(f"nameserver {address}\n", encoding="ascii")
    (etc / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n", encoding="ascii")
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _WITH_MOUNTS, str(etc)]


@asynccontextmanager
async def supervised(
    home: Path, config: dict[str, object], *, port: int, within: Sequence[str] = ()
) -> AsyncIterator[Supervised]:
    """Run an agent with these settings for the block's duration."""
    file = home / "agent.yaml"
    file.write_text(json.dumps(config, indent=2), encoding="utf-8")
    running = Supervised(home=home, url=f"http://127.0.0.1:{port}")
    task = asyncio.create_task(running.keep_running([*within, BIN / "whence-agent", "run", "--config", file]))
    try:
        yield running
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def small_disk(place: Path, *, kibibytes: int) -> AsyncIterator[Path]:
    """Mount a file system in memory for the block's duration."""
    place.mkdir()
    await run("mount", "-t", "tmpfs", "-o", f"size={kibibytes}k,mode=0711", "tmpfs", place)
    try:
        yield place
    finally:
        await run("umount", "--lazy", place)
