"""The image as a booted machine: systemd, an engine and the agent of its own, in a network of its own, by systemd-nspawn."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from fakes.metadata_service import MetadataService
from landscape.booted_images import STATUS_PORT, BootedImage, agent_settings, shown_ports
from landscape.instance_network import METADATA_ADDRESS, InstanceNetwork, instance_network
from landscape.processes import Process, run, started, within
from landscape.programs import Aggregator
from landscape.whole import Landscape
from whence_common.runtime.pause import pause

BOOT_SECONDS_MAX = 45.0
_LOOK_SECONDS = 0.1
_OF_NSPAWN = {
    # what DHCP states on EC2
    "etc/systemd/network/10-test.network": (
        "[Match]\nName=eth0\n[Network]\nAddress=10.0.0.7/24\nDNS=169.254.169.253\nDomains=~.\n"
        "IPv6AcceptRA=no\nLinkLocalAddressing=no\n"
    ),
    # nspawn has an id of its own for each boot, as a mount below /proc, which the /proc of a confined unit does not have
    "etc/systemd/system/whence-agent.service.d/10-test.conf": (
        "[Service]\nBindReadOnlyPaths=/run/test-boot-id:/proc/sys/kernel/random/boot_id\n"
    ),
    # nspawn mounts version 1 of control groups read-only, and an engine makes groups of its own
    "etc/systemd/system/docker.service.d/10-test.conf": (
        "[Service]\nExecStartPre=/bin/sh -c 'for one in /sys/fs/cgroup/*/; do "
        "mountpoint -q $$one && mount -o remount,rw,bind $$one; done; "
        "cat /proc/sys/kernel/random/boot_id > /run/test-boot-id'\n"
    ),
}
"""Files of the root that make up for what nspawn does otherwise than EC2."""
_REBOOTS = 133
"""With this code systemd-nspawn ends when the machine wants to be booted again."""
_CALLS = "@keyring bpf"
"""What runc and the engine call besides what nspawn allows."""


@dataclass
class ImageMachine(BootedImage):
    """A root that is booted, and booted again. What it keeps is in `root` and `engine`."""

    seconds_max: ClassVar[float] = BOOT_SECONDS_MAX

    root: Path
    engine: Path
    network: InstanceNetwork
    logs: Path
    status_url: str
    settings: dict[str, object]
    options: list[str] = field(default_factory=list)
    process: Process | None = None

    def __post_init__(self) -> None:
        self._command: list[str] = []
        self._boots = AsyncExitStack()

    def configure(self, **more: object) -> None:
        """Write the platform's settings."""
        self.settings.update(more)
        (self.root / "etc/whence/agent.yaml").write_text(json.dumps(self.settings), encoding="utf-8")

    @asynccontextmanager
    async def booted(self) -> AsyncIterator[ImageMachine]:
        """Boot until systemd answers; power off at the end."""
        command = [
            "systemd-nspawn", "--quiet", f"--directory={self.root}", "--boot", "--register=no", "--keep-unit",
            "--console=read-only", f"--network-namespace-path={self.network.path}", f"--bind={self.engine}:/var/lib/docker",
            "--capability=CAP_NET_ADMIN,CAP_NET_RAW", f"--system-call-filter={_CALLS}", "--resolv-conf=off",
            *self.options,
        ]  # fmt: skip
        self._command = command
        async with AsyncExitStack() as self._boots:
            try:
                await self._boot()
                yield self
            finally:
                self.process = None

    async def _boot(self) -> None:
        log = f"image-{self.network.name}"
        self.process = await self._boots.enter_async_context(
            started(log, self._command, logs=self.logs, ready=_at_once)
        )
        await self.answers()

    async def answers(self) -> None:
        """Wait until systemd answers inside."""
        async with asyncio.timeout(BOOT_SECONDS_MAX):
            while (await self.said("systemctl", "is-system-running"))[0] not in (0, 1):
                assert self._running.process.returncode is None, f"the machine ended:\n{self.console[-3000:]}"
                await pause(_LOOK_SECONDS)

    async def said(self, *command: str) -> tuple[int, str]:
        """Run a command inside; give its exit code and all that it printed."""
        try:
            entering = within(self._running)[:-1]
        except (ValueError, OSError):
            return -1, "nothing runs there yet"
        process = await asyncio.create_subprocess_exec(
            *entering,
            f"--net={self.network.path}",
            "--",
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode(errors="replace")

    @property
    def _running(self) -> Process:
        assert self.process is not None, "the machine is not booted"
        return self.process

    @property
    def console(self) -> str:
        """What the machine printed on its console, in all its boots."""
        return (self.logs / f"image-{self.network.name}.log").read_text(encoding="utf-8", errors="replace")

    async def reboot(self) -> None:
        """Have systemd go down and up again; return once the new one answers."""
        await self.run("systemctl", "reboot")
        async with asyncio.timeout(BOOT_SECONDS_MAX):
            assert await self._running.process.wait() == _REBOOTS
        await self._boot()


async def _at_once() -> bool:
    return True


@asynccontextmanager
async def image_machine(
    root: Path,
    directory: Path,
    scape: Landscape,
    server: Aggregator,
    service: MetadataService | None,
    *,
    settings: Mapping[str, object] = {},
) -> AsyncIterator[ImageMachine]:
    """Give the machine, not booted: its network has the metadata service, and relays to all of the landscape.

    Without a metadata service the link-local addresses are not there either, until the test adds them.
    """
    engine = directory / "engine"
    engine.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        network = await stack.enter_async_context(instance_network())
        for port in shown_ports(scape, server):
            await network.show(port)
        if service is not None:
            await network.appear()
            listening = await network.bound(METADATA_ADDRESS, 80)
            await stack.enter_async_context(service.serve(listening=listening))
        made = ImageMachine(
            root=root, engine=engine, network=network, logs=scape.logs, status_url=await network.reach(STATUS_PORT),
            settings={**agent_settings(scape, server), **settings},
        )  # fmt: skip
        (root / "var/lib/docker").mkdir(mode=0o710, exist_ok=True)
        made.configure()
        for place, content in _OF_NSPAWN.items():
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            (root / place).write_text(content, encoding="ascii")
        try:
            yield made
        finally:
            await _unmount_below(engine)
            shutil.rmtree(engine, ignore_errors=True)


async def _unmount_below(place: Path) -> None:
    mounts = [line.split(" ")[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(f"{place}/")), reverse=True):
        await run("umount", "--lazy", mount)
