"""Stage run: starts, finds, restarts and stops the declared containers on the engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from whence_agent.boot.container import Specifier, in_order, sidecar_name, write_meta
from whence_agent.boot.identity import Identified
from whence_agent.boot.pull import Pulled
from whence_agent.boot.secrets import Resolved
from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.boot.user_data import Judged
from whence_agent.patience import Patience
from whence_agent.ports import ContainerWatch, Engine, EngineFailed
from whence_agent.progress.stage import StageProgress
from whence_agent.report.disk_road import full_disk_as_retryable
from whence_agent.settings import Settings
from whence_common.identity_document import InstanceIdentity
from whence_common.runtime.logs import fields
from whence_common.statement import ContainerFacts
from whence_common.user_data.judge import Sidecar, UserData

log = logging.getLogger(__name__)

_ENGINE = "the Docker Engine"
UNREACHABLE_SECONDS_MAX = 20.0
"""How long a failed boot waits for an unreachable engine, to stop containers, before it announces the failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningContainers(Observation):
    """Containers that run: all of them after the stage, and during it those that were started so far."""

    application: ContainerFacts | None = None
    sidecars: Mapping[str, ContainerFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredContainers:
    """The containers that user data declares, with everything that their specification needs."""

    user_data: UserData
    identity: InstanceIdentity
    secrets: Resolved
    images: Pulled


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs containers. It waits for an unreachable engine; a refusal of the engine ends the stage at once."""

    settings: Settings
    gid: int
    engine: Engine
    containers: ContainerWatch
    patience: Patience

    async def start(self, declared: DeclaredContainers, handle: StageHandle) -> RunningContainers:
        """Start the declared containers, in the order that shared networks require. Raises EngineFailed.

        A full disk and an unreachable engine are waited for. Another try does not restart running containers.
        """
        write, directory = partial(self._write_meta, declared.user_data), self.settings.container_directory
        await self.patience.keep_trying(write, handle.stage, waiting_for=f"the disk of {directory}")
        start = partial(self._start_all, declared, handle.observed)
        return await self.patience.keep_trying(start, handle.stage, waiting_for=_ENGINE)

    async def find(self, user_data: UserData, stage: StageProgress) -> dict[str, ContainerFacts]:
        """Return the declared containers that exist, by name. Raises EngineFailed if the engine refuses.

        An unreachable engine is waited for until the stage's deadline.
        """
        return await self.patience.keep_trying(partial(self._found, user_data), stage, waiting_for=_ENGINE)

    async def _found(self, user_data: UserData) -> dict[str, ContainerFacts]:
        names = [self.settings.container_name, *(sidecar_name(self.settings, one) for one in user_data.sidecars)]
        found = {name: await self.containers.inspect(name) for name in names}
        return {name: state.facts for name, state in found.items() if state is not None}

    async def revive(self, user_data: UserData, observed: Callable[[RunningContainers], None]) -> None:
        """Start again what stopped with the engine, in the order of the first start. Raises EngineFailed."""
        settings = self.settings
        before, after = ([sidecar_name(settings, one) for one in some] for some in in_order(user_data))
        found = await self._found(user_data)
        for name in (*before, settings.container_name, *after):
            if name not in found or found[name].state == "running":
                continue
            log.warning("starting a container that stopped with the engine", extra=fields(container=name))
            await self.containers.start(name)
            state = await self.containers.inspect(name)
            if state is not None and name == settings.container_name:
                observed(RunningContainers(application=state.facts))
            elif state is not None:
                observed(RunningContainers(sidecars={name: declared_by_itself(state.facts)}))

    async def tear_down(self) -> str:
        """Stop all containers of the agent. Return why one may still run; empty if none does."""
        stage = StageProgress(name="tear-down")
        try:
            async with asyncio.timeout(self.settings.stage_seconds("run")):
                async with asyncio.timeout(UNREACHABLE_SECONDS_MAX):
                    names = await self.patience.keep_trying(self._ours, stage, waiting_for=_ENGINE)
                await self.patience.keep_trying(partial(self._stop, names), stage, waiting_for=_ENGINE)
        except (EngineFailed, TimeoutError) as exc:
            error = str(stage.last_error or exc) or "the engine did not answer in time"
            log.error("a container may still run", extra=fields(error=error))
            return f"a container may still run: {error}"
        return ""

    async def _ours(self) -> list[str]:
        prefix = f"{self.settings.container_name}-"
        sidecars = [one.name for one in await self.containers.running() if one.name.startswith(prefix)]
        return [self.settings.container_name, *sidecars]

    async def _stop(self, names: Sequence[str]) -> None:
        for name in names:
            await self.engine.stop(name)

    async def _write_meta(self, user_data: UserData) -> None:
        directory = self.settings.container_directory
        with full_disk_as_retryable(directory):
            await asyncio.to_thread(write_meta, Path(directory), user_data, gid=self.gid)

    async def _start_all(
        self, declared: DeclaredContainers, observed: Callable[[RunningContainers], None]
    ) -> RunningContainers:
        user_data, images, secrets = declared.user_data, declared.images, declared.secrets
        specifier = Specifier(settings=self.settings, gid=self.gid, user_data=user_data, identity=declared.identity)
        before, after = in_order(user_data)
        sidecars: dict[str, ContainerFacts] = {}

        async def start(sidecar: Sidecar) -> None:
            spec = specifier.sidecar(sidecar, images.others[sidecar.name], secrets.sidecars[sidecar.name])
            sidecars[spec.name] = declared_by_itself(await self.engine.run(spec))
            observed(RunningContainers(sidecars={spec.name: sidecars[spec.name]}))

        await self._clear({sidecar_name(self.settings, one) for one in before})
        for sidecar in before:
            await start(sidecar)
        application = await self.engine.run(specifier.application(images.main, secrets.environment))
        observed(RunningContainers(application=application))
        for sidecar in after:
            await start(sidecar)
        return RunningContainers(application=application, sidecars=sidecars)

    async def _clear(self, kept: set[str]) -> None:
        """Stop sidecars of other user data, and those that still use the network of the replaced application."""
        for event in await self.containers.running():
            if event.name.startswith(f"{self.settings.container_name}-") and event.name not in kept:
                await self.engine.stop(event.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStage:
    runner: Runner
    name: str = "run"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return so_far.of(Judged).user_data.start

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> RunningContainers:
        """Start the containers. Raises EngineFailed."""
        declared = DeclaredContainers(
            user_data=so_far.of(Judged).user_data,
            identity=so_far.of(Identified).identity,
            secrets=so_far.of(Resolved),
            images=so_far.of(Pulled),
        )
        return await self.runner.start(declared, handle)


def declared_by_itself(facts: ContainerFacts) -> ContainerFacts:
    """Return the facts with the sidecar's own digest as the declared one, in place of the application's."""
    return msgspec.structs.replace(facts, declared_digest=facts.image_digest)
