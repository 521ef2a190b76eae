"""Stage notify: CloudFormation and Auto Scaling are told how the boot went, also a failed one."""

from __future__ import annotations

from dataclasses import dataclass

from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.report.announcement import Announcer


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyStage:
    """Not having been told is on the status, but fails nothing."""

    announcer: Announcer
    success: bool = True
    name: str = "notify"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        wanted = self.announcer.announcement
        return wanted.stack_resource is not None or wanted.lifecycle_hooks is not None

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Tell who waits; return who could not be told, or that nobody waits."""
        told = await self.announcer.booted(success=self.success, stage=handle.stage)
        return Observation(note=told.untold or told.note, deferred=bool(told.untold))
