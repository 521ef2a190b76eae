"""One instance with its agent, as an acceptance test needs it: started, looked into, spoiled, and cleaned up."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import docker

from fakes.metadata_service import MetadataService
from landscape.processes import ended, free_port
from landscape.programs import BIN, Agent, AgentSettings, Aggregator, agent
from landscape.whole import Landscape
from whence_common.runtime.pause import pause


class Stage:
    """One instance with its agent; starts and stops agents, looks into containers."""

    def __init__(self, scape: Landscape, directory: Path, stack: AsyncExitStack) -> None:
        self.scape = scape
        self.directory = directory
        self._stack = stack
        self.service: MetadataService
        self.name = "whence-test-agent"

    async def instance(self, user_data: str) -> None:
        self.service = await self._stack.enter_async_context(self.scape.instance(user_data.encode()))
        self.name = f"whence-test-{self.service.instance_id}"
        self._stack.push_async_callback(self.scape.remove_container, self.name)

    @asynccontextmanager
    async def agent(self, aggregator_url: str, **extra: object) -> AsyncIterator[Agent]:
        settings = AgentSettings(
            metadata_url=self.service.url,
            aggregator_url=aggregator_url,
            engine=self.scape.engine,
            aws_url=self.scape.aws.url,
            immutable_registries=(self.scape.registry,),
            extra=extra,
        )
        async with agent(self.directory, self.scape.logs, settings, name=self.name) as running:
            yield running

    async def inspect(self, suffix: str = "") -> dict[str, Any] | None:
        name = self.name + suffix
        return await asyncio.to_thread(self.with_engine, lambda client: client.inspect_container(name))

    async def on_engine(self, work: Callable[[docker.APIClient], Any]) -> Any:
        """Do something to the engine behind the agent's back."""
        return await asyncio.to_thread(self.with_engine, work)

    async def said(self, server: Aggregator, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Give the first predicate of this instance that is wanted, once the aggregator has it."""
        seen: set[str] = set()
        async with asyncio.timeout(30):
            while True:
                shown = await server.get(f"/v1/instances/{self.service.instance_id}")
                for one in shown.get("statements", []):
                    if one["digest"] not in seen:
                        seen.add(one["digest"])
                        envelope = await server.get(f"/v1/statements/{one['digest']}")
                        predicate: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))["predicate"]
                        if wanted(predicate):
                            return predicate
                await pause(0.1)

    async def traced(self, server: Aggregator, link: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Give a link of this instance's lineage once it is as wanted; other instances may still have tasks."""
        async with asyncio.timeout(30):
            while True:
                lineage = await server.get("/v1/trace", instance=self.service.instance_id)
                found: dict[str, Any]
                for found in lineage.get("links", []):
                    if found["link"] == link and wanted(found):
                        return found
                await pause(0.1)

    async def started_again(self, suffix: str, since: str) -> None:
        """Wait until the container with this suffix runs and was started later than `since`, as the engine states it."""
        async with asyncio.timeout(30):
            while True:
                state = (await self.inspect(suffix) or {}).get("State", {})
                if state.get("Running") and state["StartedAt"] > since:
                    return
                await pause(0.1)

    async def run_inside(self, *command: str) -> str:
        def run(client: docker.APIClient) -> str:
            made = client.exec_create(self.name, list(command))
            return str(client.exec_start(made["Id"]).decode())

        return await asyncio.to_thread(self.with_engine, run)

    async def kill_container(self) -> None:
        await asyncio.to_thread(self.with_engine, lambda client: client.stop(self.name, timeout=0))

    def with_engine(self, work: Any) -> Any:
        client = docker.APIClient(base_url=self.scape.engine, version="auto", timeout=60)
        try:
            return work(client)
        except docker.errors.NotFound:
            return None
        finally:
            client.close()


def user_data(source: str, more: str = "", *, port: int | None = None) -> str:
    return (
        "#taupage-ami-config\napplication_id: greeter\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {source}\nports: {{{port or free_port()}: 8080}}\nhealth_check_path: /health\n{more}"
    )


async def failed(
    stage: Stage, server: Aggregator, *, told: Callable[[], object] | None = None, **extra: object
) -> dict[str, Any]:
    """Boot an instance that must fail; give its status after the aggregator, and whoever `told` asks, was told."""
    async with stage.agent(server.url, **extra) as running:
        status = await running.until("failed")
        assert await stage.inspect() is None, "a failed boot leaves no container"
        await stage.traced(server, "instance", lambda found: found["value"]["cause"] == "failed")
        assert (await command("status", "--url", running.url))[0] == 1
        async with asyncio.timeout(20):
            while told is not None and not told():
                await pause(0.05)
        return status


async def command(*arguments: str) -> tuple[int, str]:
    done = await ended(BIN / "whence-agent", *arguments, merged=True)
    return done.code, done.out
