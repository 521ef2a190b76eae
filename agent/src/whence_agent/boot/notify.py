"""Stage notify: signals the result of the boot to CloudFormation and Auto Scaling, also a failed one."""

from __future__ import annotations

from dataclasses import dataclass

from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.report.announcement import Announcer


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyStage:
    """A signal that could not be sent is shown on the status, and fails nothing."""

    announcer: Announcer
    success: bool = True
    name: str = "notify"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        announcement = self.announcer.announcement
        return announcement.stack_resource is not None or announcement.lifecycle_hooks is not None

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Observation:
        """Send the signals; return which could not be sent, or which stack or hook does not wait."""
        result = await self.announcer.booted(success=self.success, stage=handle.stage)
        return Observation(note=result.unsent or result.note, deferred=bool(result.unsent))
