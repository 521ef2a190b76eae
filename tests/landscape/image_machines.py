"""The image as a booted machine: systemd, an engine and the agent of its own, in a network of its own, by systemd-nspawn."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from fakes.metadata_service import MetadataService
from landscape.instance_network import METADATA_ADDRESS, InstanceNetwork, instance_network
from landscape.processes import Process, run, started, within
from landscape.programs import Aggregator
from landscape.whole import Landscape
from whence_common.runtime.pause import pause

BOOT_SECONDS_MAX = 45.0
_STATUS_PORT = 7380
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
class ImageMachine:
    """A root that is booted, and booted again. What it keeps is in `root` and `engine`."""

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

    async def run(self, *command: str) -> str:
        """Run a command inside; give what it printed. Fails when it fails."""
        code, output = await self.said(*command)
        assert code == 0, f"{' '.join(command)} ended with {code}: {output}"
        return output

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

    async def status(self) -> dict[str, Any] | None:
        """Return the agent's status; None while nobody answers."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(f"{self.status_url}/status") as answer,
            ):
                found: dict[str, Any] = await answer.json()
                return found
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None

    async def until(self, *states: str, since: str = "", seconds_max: float = BOOT_SECONDS_MAX) -> dict[str, Any]:
        """Return the status once it has one of these states, of an agent started after the one with `since`."""
        found: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(seconds_max):
                while True:
                    found = await self.status()
                    if found is not None and found["state"] in states and found["started_at"] != since:
                        return found
                    await pause(_LOOK_SECONDS)
        except TimeoutError:
            reasons = found and (found["state"], found["reasons"])
            raise AssertionError(f"the agent is {reasons}, not {states}; console:\n{self.console[-3000:]}") from None

    async def running(self, *, seconds_max: float = BOOT_SECONDS_MAX) -> str:
        """Wait until systemd has started everything; return the failed units, empty when there are none."""
        async with asyncio.timeout(seconds_max):
            while (await self.said("systemctl", "is-system-running"))[1].strip() not in ("running", "degraded"):
                await pause(_LOOK_SECONDS)
        return (await self.run("systemctl", "--failed", "--plain", "--no-legend", "--no-pager")).strip()

    async def containers(self) -> dict[str, str]:
        """Return the state of each container by name, as the engine states them."""
        shown = await self.run("docker", "ps", "--all", "--format", "{{.Names}} {{.State}}")
        return dict(line.split(" ", 1) for line in shown.splitlines())

    async def inspected(self, template: str, name: str = "taupageapp") -> str:
        return (await self.run("docker", "inspect", "--format", template, name)).strip()


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
        for url in (scape.aws.url, scape.sts.url, server.url, f"http://{scape.registry}"):
            await network.show(int(url.rpartition(":")[2].split("/")[0]))
        if service is not None:
            await network.appear()
            listening = await network.bound(METADATA_ADDRESS, 80)
            await stack.enter_async_context(service.serve(listening=listening))
        made = ImageMachine(
            root=root, engine=engine, network=network, logs=scape.logs, status_url=await network.reach(_STATUS_PORT),
            settings={
                "aggregator_url": server.url, "aws_endpoint_url": scape.aws.url,
                "registries": {scape.registry: {"immutable_tags": True}},
                "delivery_pause_seconds_max": 2.0, "heartbeat_seconds": 2.0, "watch_seconds": 0.5, "notice_seconds": 0.5,
                **settings,
            },
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
