"""Tells those who wait for this machine how its boot went: CloudFormation, Auto Scaling; and acts on a failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from whence_agent.patience import Patience
from whence_agent.ports_cloud import CloudRefused, NobodyWaits, Signals
from whence_agent.progress.progress import Progress
from whence_agent.progress.stage import StageProgress
from whence_common.runtime.logs import fields
from whence_common.user_data.judge import Announcement
from whence_common.user_data.lifecycle import OnFailure

log = logging.getLogger(__name__)

TERMINATING_SECONDS_MAX = 30.0
"""A drain at the machine's shutdown must end before systemd's TimeoutStopSec."""
HOOK_UP_SECONDS = 60.0
"""A machine that is up for less may be faster than its group: its hook begins to wait a moment later."""
HOOK_SECONDS = 30.0
"""So long a hook may need to begin to wait after an instance was seen leaving its warm pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementResult:
    """How telling one of them went: `untold` says why not, `note` that there was nobody to tell."""

    untold: str = ""
    note: str = ""


@dataclass(slots=True, kw_only=True)
class Announcer:
    """Each is told once a boot, tried again while that can help; what could not be told is on the status."""

    signals: Signals
    progress: Progress
    patience: Patience
    seconds_max: float
    """Longest time for telling all of them, and for acting on a failure."""
    up_seconds: Callable[[], float]
    on_failure: OnFailure
    """The platform's; user data's own wins."""
    announcement: Announcement = field(default_factory=Announcement)
    acted: bool = False

    def hear(self, announcement: Announcement) -> None:
        """Take what user data says of those who wait."""
        self.announcement = announcement

    @property
    def policy(self) -> OnFailure:
        """What a failure does: as user data says, else as the platform does."""
        return self.announcement.on_failure or self.on_failure

    async def booted(self, *, success: bool, stage: StageProgress) -> AnnouncementResult:
        """Signal the stack's resource and complete the launching hook, at once. Never raises for what AWS answers.

        `note` names whom there was nobody of; what could not be told is on the status too.
        """
        instance_id, wanted = self.progress.instance_id(), self.announcement
        telling = []
        if wanted.stack_resource is not None:
            stack, resource = wanted.stack_resource.stack, wanted.stack_resource.resource
            telling.append(
                self._tell(
                    f"CloudFormation {stack}/{resource}",
                    lambda: self.signals.stack(stack, resource, unique_id=instance_id, success=success),
                    stage,
                )
            )
        if wanted.lifecycle_hooks is not None and wanted.lifecycle_hooks.launching is not None:
            telling.append(self._launching(success, stage, hook_seconds=HOOK_UP_SECONDS - self.up_seconds()))
        found = await asyncio.gather(*telling)
        told = AnnouncementResult(
            untold="; ".join(one.untold for one in found if one.untold),
            note="; ".join(one.note for one in found if one.note),
        )
        self.progress.delivered.record_untold(told.untold)
        return told

    async def left_pool(self, *, success: bool) -> None:
        """Complete the launching hook once more: it waits again when an instance leaves its group's warm pool."""
        hooks = self.announcement.lifecycle_hooks
        if hooks is not None and hooks.launching is not None:
            stage = StageProgress(name="leaving the warm pool")
            told = await self._launching(success, stage, hook_seconds=HOOK_SECONDS)
            self.progress.delivered.record_untold(told.untold)

    async def terminating(self) -> None:
        """Complete the terminating hook: what was to be drained is drained."""
        hooks = self.announcement.lifecycle_hooks
        if hooks is None or hooks.terminating is None:
            return
        hook, instance_id = hooks.terminating, self.progress.instance_id()
        told = await self._tell(
            f"Auto Scaling hook {hook}",
            lambda: self.signals.lifecycle(hooks.group, hook, instance_id=instance_id, proceed=True),
            StageProgress(name="terminating"),
            seconds_max=min(self.seconds_max, TERMINATING_SECONDS_MAX),
        )
        self.progress.delivered.record_untold(told.untold)

    async def failed(self, reason: str) -> None:
        """Act on a failed boot or a crash loop: hold, terminate, or have the group replace this machine. Once.

        With `retry` there is nothing more to do: what can be tried again is, and supervision restarts without end.
        """
        policy = self.policy
        if policy in ("hold", "retry") or self.acted or self.progress.observed.identity is None:
            return
        self.acted = True
        log.error("acting on the failure", extra=fields(policy=policy, reason=reason))
        instance_id = self.progress.instance_id()
        act = self.signals.terminate if policy == "terminate" else self.signals.unhealthy
        told = await self._tell(f"on_failure: {policy}", lambda: act(instance_id), StageProgress(name="on_failure"))
        parts = (self.progress.delivered.untold, told.untold)
        self.progress.delivered.record_untold("; ".join(part for part in parts if part))

    async def _launching(self, success: bool, stage: StageProgress, *, hook_seconds: float) -> AnnouncementResult:
        hooks, instance_id = self.announcement.lifecycle_hooks, self.progress.instance_id()
        assert hooks is not None
        assert hooks.launching is not None
        hook = hooks.launching
        return await self._tell(
            f"Auto Scaling hook {hook}",
            lambda: self.signals.lifecycle(hooks.group, hook, instance_id=instance_id, proceed=success),
            stage,
            nobody_seconds=hook_seconds,
        )

    async def _tell(
        self,
        whom: str,
        tell: Callable[[], Awaitable[None]],
        stage: StageProgress,
        *,
        seconds_max: float | None = None,
        nobody_seconds: float = 0.0,
    ) -> AnnouncementResult:
        """Tell one of them until it is told, cannot be, or the time is over.

        For `nobody_seconds` the answer that nobody waits is not believed: they may be about to.
        """
        seconds_max = self.seconds_max if seconds_max is None else seconds_max
        began, last = self.progress.monotonic(), "no answer"

        async def once() -> None:
            nonlocal last
            try:
                await tell()
            except NobodyWaits as exc:
                if self.progress.monotonic() - began >= min(nobody_seconds, seconds_max / 2):
                    raise
                raise CloudRefused(exc.code, exc.message) from exc
            except CloudRefused as exc:
                last = exc.diagnostics()
                raise

        try:
            async with asyncio.timeout(seconds_max):
                await self.patience.keep_trying(once, stage, waiting_for=whom)
        except NobodyWaits as exc:
            log.info("nobody waits", extra=fields(whom=whom, reason=exc.message))
            return AnnouncementResult(note=f"{whom}: nobody waits ({exc.message})")
        except CloudRefused:
            log.error("could not be told", extra=fields(whom=whom, reason=last))
            return AnnouncementResult(untold=f"{whom} could not be told: {last}")
        except TimeoutError:
            log.error("could not be told in time", extra=fields(whom=whom, reason=last))
            return AnnouncementResult(untold=f"{whom} could not be told within {seconds_max:g} seconds: {last}")
        log.info("told", extra=fields(whom=whom))
        return AnnouncementResult()
