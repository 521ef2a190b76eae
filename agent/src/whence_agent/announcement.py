"""Tells those who wait for this machine how its boot went: CloudFormation, Auto Scaling; and acts on a failure."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from whence_agent.ports_cloud import CloudRefused, Signals
from whence_agent.progress import Progress
from whence_common.backoff import Backoff
from whence_common.logs import fields
from whence_common.pause import pause
from whence_common.user_data.judge import Announcement
from whence_common.user_data.lifecycle import OnFailure

log = logging.getLogger(__name__)

ATTEMPTS_MAX = 6


@dataclass(slots=True, kw_only=True)
class Announcer:
    """Each is told once a boot, tried again while that can help; what could not be told is on the status."""

    signals: Signals
    progress: Progress
    backoff: Backoff
    on_failure: OnFailure
    """The platform's; user data's own wins."""
    announcement: Announcement = field(default_factory=Announcement)
    acted: bool = False

    async def booted(self, *, success: bool) -> None:
        """Signal the stack's resource and complete the launching hook. Never raises for what AWS answers."""
        instance_id, told = self.progress.instance_id(), self.announcement
        untold = []
        if told.stack_resource is not None:
            stack, resource = told.stack_resource.stack, told.stack_resource.resource
            untold.append(
                await self._tried(
                    f"CloudFormation {stack}/{resource}",
                    lambda: self.signals.stack(stack, resource, unique_id=instance_id, success=success),
                )
            )
        hooks = told.lifecycle_hooks
        if hooks is not None and hooks.launching is not None:
            hook = hooks.launching
            untold.append(
                await self._tried(
                    f"Auto Scaling hook {hook}",
                    lambda: self.signals.lifecycle(hooks.group, hook, instance_id=instance_id, proceed=success),
                )
            )
        self.progress.untold = "; ".join(reason for reason in untold if reason)

    async def terminating(self) -> None:
        """Complete the terminating hook: what was to be drained is drained."""
        hooks = self.announcement.lifecycle_hooks
        if hooks is None or hooks.terminating is None:
            return
        hook, instance_id = hooks.terminating, self.progress.instance_id()
        self.progress.untold = await self._tried(
            f"Auto Scaling hook {hook}",
            lambda: self.signals.lifecycle(hooks.group, hook, instance_id=instance_id, proceed=True),
        )

    async def failed(self, reason: str) -> None:
        """Act on a failed boot or a crash loop: hold, terminate, or have the group replace this machine. Once."""
        policy = self.announcement.on_failure or self.on_failure
        if policy == "hold" or self.acted or self.progress.observed.identity is None:
            return
        self.acted = True
        log.error("acting on the failure", extra=fields(policy=policy, reason=reason))
        instance_id = self.progress.instance_id()
        act = self.signals.terminate if policy == "terminate" else self.signals.unhealthy
        untold = await self._tried(f"on_failure: {policy}", lambda: act(instance_id))
        self.progress.untold = "; ".join(part for part in (self.progress.untold, untold) if part)

    async def _tried(self, what: str, tell: Callable[[], Awaitable[None]]) -> str:
        """Give an empty text once it is told, else the reason why not."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                await tell()
            except CloudRefused as exc:
                if not exc.retryable or attempt == ATTEMPTS_MAX:
                    log.error("could not be told", extra=fields(whom=what, reason=exc.message))
                    return f"{what} could not be told: {exc.diagnostics()}"
                await pause(self.backoff.seconds(attempt))
            else:
                log.info("told", extra=fields(whom=what))
                return ""
        raise AssertionError("every attempt returns or is the last")
