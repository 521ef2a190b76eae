"""A Debian root as a running machine: booted by systemd-nspawn, and asked as root would ask it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from landscape.processes import Process, booting, leader, run, started, within
from whence_common.runtime.pause import pause

BOOT_SECONDS_MAX = 120.0
_LOOK_SECONDS = 0.1
_SHOWN = "ActiveState,SubState,Result,NRestarts,ExecMainStatus,InvocationID"


@dataclass(frozen=True, slots=True)
class Machine:
    """A booted root."""

    process: Process

    @property
    def leader(self) -> int:
        """The process that is number 1 in the machine, as this machine counts."""
        return leader(self.process)

    async def run(self, *command: str) -> str:
        """Run a command; give what it printed. Raises NotReady when it fails."""
        return await run(*within(self.process, *command))

    async def said(self, *command: str) -> tuple[int, str]:
        """Run a command; give its exit code and all that it printed."""
        process = await asyncio.create_subprocess_exec(
            *within(self.process, *command), stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def unit(self, name: str, *states: str) -> dict[str, str]:
        """Give what systemd says of a unit, once it is in one of these states or waits to be restarted."""
        async with asyncio.timeout(BOOT_SECONDS_MAX):
            while True:
                output = await self.run("systemctl", "show", name, f"--property={_SHOWN}")
                found = dict(line.split("=", 1) for line in output.split())
                if found["ActiveState"] in states or found["SubState"] == "auto-restart":
                    return found
                await pause(_LOOK_SECONDS)

    async def journal(self, unit: str) -> str:
        """Give what a unit wrote."""
        return await self.run("journalctl", "--unit", unit, "--output=cat", "--no-pager")


@asynccontextmanager
async def booted(
    root: Path, logs: Path, *options: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Machine]:
    """Boot a root and wait until systemd has started everything that it starts. `options` are systemd-nspawn's."""
    marker, units = root / "booted", root / "etc/systemd/system"
    marker.unlink(missing_ok=True)
    (units / "booted.service").write_text(
        "[Unit]\nAfter=multi-user.target\n[Service]\nType=oneshot\nExecStart=/bin/touch /booted\n", encoding="utf-8"
    )
    wants = units / "default.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "booted.service").unlink(missing_ok=True)
    (wants / "booted.service").symlink_to("/etc/systemd/system/booted.service")

    async def ready() -> bool:
        return marker.exists()

    command = booting(root, *options)
    async with started(
        "nspawn", command, logs=logs, ready=ready, environment=environment, seconds_max=BOOT_SECONDS_MAX
    ) as process:
        yield Machine(process)
