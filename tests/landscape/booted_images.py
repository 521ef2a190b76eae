"""What tests ask of a booted image, however it was booted: its agent's status, its units, its containers."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import aiohttp

from landscape.programs import Aggregator
from landscape.whole import Landscape
from whence_common.runtime.pause import pause

STATUS_PORT = 7380
_CONSOLE_CHARACTERS = 3_000


class BootedImage(ABC):
    """A machine on which commands run as root; `status_url` is where its agent's status endpoint is reached."""

    status_url: str
    seconds_max: ClassVar[float]
    """How long a boot, and each step after it, may take there."""
    look_seconds: ClassVar[float] = 0.1
    """The pause between two looks, each of which takes time of the machine's processor."""

    @abstractmethod
    async def said(self, *command: str) -> tuple[int, str]:
        """Run a command inside; give its exit code and all that it printed."""

    @property
    @abstractmethod
    def console(self) -> str:
        """What the machine printed on its console, in all its boots."""

    async def run(self, *command: str) -> str:
        """Run a command inside; give what it printed. Fails when it fails."""
        code, output = await self.said(*command)
        assert code == 0, f"{' '.join(command)} ended with {code}: {output}"
        return output

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

    async def until(self, *states: str, since: str = "") -> dict[str, Any]:
        """Return the status once it has one of these states, of an agent started after the one with `since`."""
        found: dict[str, Any] | None = None
        try:
            async with asyncio.timeout(self.seconds_max):
                while True:
                    found = await self.status()
                    if found is not None and found["state"] in states and found["started_at"] != since:
                        return found
                    await pause(self.look_seconds)
        except TimeoutError:
            reasons = found and (found["state"], found["reasons"])
            ended = self.console[-_CONSOLE_CHARACTERS:]
            raise AssertionError(f"the agent is {reasons}, not {states}; console:\n{ended}") from None

    async def running(self) -> str:
        """Wait until systemd has started everything; return the failed units, empty when there are none."""
        async with asyncio.timeout(self.seconds_max):
            while (await self.said("systemctl", "is-system-running"))[1].strip() not in ("running", "degraded"):
                await pause(self.look_seconds)
        return (await self.run("systemctl", "--failed", "--plain", "--no-legend", "--no-pager")).strip()

    async def containers(self) -> dict[str, str]:
        """Return the state of each container by name, as the engine states them."""
        shown = await self.run("docker", "ps", "--all", "--format", "{{.Names}} {{.State}}")
        return dict(line.split(" ", 1) for line in shown.splitlines())

    async def inspected(self, template: str, name: str = "taupageapp") -> str:
        return (await self.run("docker", "inspect", "--format", template, name)).strip()


def shown_ports(scape: Landscape, server: Aggregator) -> list[int]:
    """Return the loopback ports of the landscape that a machine needs."""
    urls = (scape.aws.url, scape.sts.url, server.url, f"http://{scape.registry}")
    return [int(url.rpartition(":")[2].split("/")[0]) for url in urls]


def agent_settings(scape: Landscape, server: Aggregator) -> dict[str, object]:
    """Return the platform's settings of a machine in the landscape."""
    return {
        "aggregator_url": server.url, "aws_endpoint_url": scape.aws.url,
        "registries": {scape.registry: {"immutable_tags": True}},
        "delivery_pause_seconds_max": 2.0, "heartbeat_seconds": 2.0, "watch_seconds": 0.5, "notice_seconds": 0.5,
    }  # fmt: skip
