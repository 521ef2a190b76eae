"""A supervision over a machine with one application and one sidecar, which a test has look when it likes."""

from __future__ import annotations

import asyncio

import msgspec

from fakes.agent_world import DIGEST, World
from whence_agent.watch.supervision import Supervision

APP = "taupageapp"


class Watched:
    """A supervision over one application and one sidecar."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ends: list[int | None] = []
        self.ended = asyncio.Event()
        self.failures: list[str] = []
        self.supervision = Supervision(
            engine=world.engine, life=world.engine, progress=world.progress, reporter=world.reporter, pulse=world.pulse,
            watch_seconds=5.0, platform_containers=["platform-*"], on_end=self._end, on_failure=self._failure,
        )  # fmt: skip
        for name, main in ((APP, True), (f"{APP}-proxy", False)):
            world.engine.add(name)
            self.supervision.watch(name, digest=DIGEST, main=main)
        state = world.progress.watched
        state.container = world.engine.containers[APP].facts
        proxy = world.engine.containers[f"{APP}-proxy"].facts
        state.sidecars[f"{APP}-proxy"] = msgspec.structs.replace(proxy, declared_digest=DIGEST)
        world.progress.boot.state = "up"

    async def _end(self, exit_code: int | None) -> None:
        self.ends.append(exit_code)
        self.ended.set()

    async def _failure(self, reason: str) -> None:
        self.failures.append(reason)

    def deliver(self, *, ended: bool = False) -> None:
        """Have the engine's events arrive; `ended`: and then their end, as when the engine goes down."""
        while not self.world.engine.queue.empty():
            self.supervision.record_event(self.world.engine.queue.get_nowait())
        if ended:
            self.supervision.record_engine_end()

    async def look(self, *, after: float = 0.0) -> None:
        self.world.ticks.now += after
        await self.supervision.look()

    @property
    def drift(self) -> list[tuple[str, str]]:
        return [(one.kind, one.container) for one in self.world.progress.observed.drift]
