"""Adopts the containers of this boot and user data after the agent restarted, so that no application restarts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from whence_agent.boot.run import Runner, RunningContainers, declared_by_itself
from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.boot.user_data import Judged
from whence_agent.progress.progress import Observed
from whence_agent.report.instance_key import InstanceKey
from whence_common.statement import ContainerFacts, DriftFacts, ImageFacts, ScmSourceFacts
from whence_common.user_data.judge import UserData


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedContainers(RunningContainers):
    """The containers of this boot that already run, and what was recorded about them."""

    image: ImageFacts | None
    scm_source: ScmSourceFacts | None
    drift: tuple[DriftFacts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptStage:
    """Stage `run`, tried before the other acting stages. Returns AdoptedContainers, or an empty observation."""

    key: InstanceKey
    runner: Runner
    container_name: str
    boot_id: str
    name: str = "run"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        remembered = self.key.remembered("running")
        digest = so_far.of(Judged).user_data.digest
        return remembered.get("boot_id") == self.boot_id and remembered.get("user_data") == digest

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Return the remembered containers if all of them run. Raises EngineFailed."""
        remembered = self.key.remembered("running")
        known = remembered.get("containers", {})
        found = await self.runner.find(so_far.of(Judged).user_data, handle.stage)
        if not known or {name: one.container_id for name, one in found.items()} != known:
            return Observation()
        if any(one.state != "running" for one in found.values()):
            return Observation()
        return self._adopted(remembered, found)

    def remember(self, user_data: UserData, observed: Observed) -> None:
        """Store what runs now for the next start of the agent. Raises OSError."""
        running = (observed.container, *observed.sidecars.values())
        values = {
            "boot_id": self.boot_id,
            "user_data": user_data.digest,
            "containers": {one.name: one.container_id for one in running if one is not None},
            "image": msgspec.to_builtins(observed.image),
            "scm_source": msgspec.to_builtins(observed.scm_source),
        }
        self.key.remember("running", values)

    def _adopted(self, remembered: dict[str, Any], found: dict[str, ContainerFacts]) -> AdoptedContainers:
        drift = self.key.remembered("drift")
        of_this_boot = drift["drift"] if drift.get("boot_id") == self.boot_id else []
        application = found.pop(self.container_name, None)
        return AdoptedContainers(
            application=application,
            sidecars={name: declared_by_itself(one) for name, one in found.items()},
            image=msgspec.convert(remembered["image"], ImageFacts),
            scm_source=msgspec.convert(remembered["scm_source"], ScmSourceFacts),
            drift=tuple(msgspec.convert(of_this_boot, list[DriftFacts])),
            note="the containers of this boot already run",
        )
