"""Signals the result of the boot to CloudFormation and Auto Scaling, and applies `on_failure`."""

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
"""On a machine that has been up for less, the hook may not have begun to wait yet."""
HOOK_SECONDS = 30.0
"""How long a hook may take to begin to wait after an instance has left its warm pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncementResult:
    """The result of a signal: `unsent` states why it failed; `note` states that the recipient does not wait."""

    unsent: str = ""
    note: str = ""


@dataclass(slots=True, kw_only=True)
class Announcer:
    """Sends each signal once a boot, and retries transient errors; the status shows what could not be sent."""

    signals: Signals
    progress: Progress
    patience: Patience
    seconds_max: float
    """Longest time for all signals of a boot, and for acting on a failure."""
    up_seconds: Callable[[], float]
    on_failure: OnFailure
    """The platform's policy; that of user data takes precedence."""
    announcement: Announcement = field(default_factory=Announcement)
    acted: bool = False

    def configure(self, announcement: Announcement) -> None:
        """Set the stack, hooks and policy that user data names."""
        self.announcement = announcement

    @property
    def policy(self) -> OnFailure:
        """Return the policy for failures: that of user data, else the platform's."""
        return self.announcement.on_failure or self.on_failure

    async def booted(self, *, success: bool, stage: StageProgress) -> AnnouncementResult:
        """Signal the stack's resource and complete the launching hook, concurrently. An answer of AWS never raises.

        `note` names the stack or hook that does not wait; signals that could not be sent are on the status too.
        """
        instance_id, wanted = self.progress.instance_id(), self.announcement
        signals = []
        if wanted.stack_resource is not None:
            stack, resource = wanted.stack_resource.stack, wanted.stack_resource.resource
            signals.append(
                self._send(
                    f"CloudFormation {stack}/{resource}",
                    lambda: self.signals.stack(stack, resource, unique_id=instance_id, success=success),
                    stage,
                )
            )
        if wanted.lifecycle_hooks is not None and wanted.lifecycle_hooks.launching is not None:
            signals.append(self._launching(success, stage, hook_seconds=HOOK_UP_SECONDS - self.up_seconds()))
        found = await asyncio.gather(*signals)
        result = AnnouncementResult(
            unsent="; ".join(one.unsent for one in found if one.unsent),
            note="; ".join(one.note for one in found if one.note),
        )
        self.progress.delivered.record_unsent_signals(result.unsent)
        return result

    async def left_pool(self, *, success: bool) -> None:
        """Complete the launching hook once more: it waits again after an instance has left its group's warm pool."""
        hooks = self.announcement.lifecycle_hooks
        if hooks is not None and hooks.launching is not None:
            stage = StageProgress(name="leaving the warm pool")
            result = await self._launching(success, stage, hook_seconds=HOOK_SECONDS)
            self.progress.delivered.record_unsent_signals(result.unsent)

    async def terminating(self) -> None:
        """Complete the terminating hook, after draining."""
        hooks = self.announcement.lifecycle_hooks
        if hooks is None or hooks.terminating is None:
            return
        hook, instance_id = hooks.terminating, self.progress.instance_id()
        result = await self._send(
            f"Auto Scaling hook {hook}",
            lambda: self.signals.lifecycle(hooks.group, hook, instance_id=instance_id, proceed=True),
            StageProgress(name="terminating"),
            seconds_max=min(self.seconds_max, TERMINATING_SECONDS_MAX),
        )
        self.progress.delivered.record_unsent_signals(result.unsent)

    async def failed(self, reason: str) -> None:
        """Apply `on_failure` to a failed boot or a crash loop, once: `terminate` or `unhealthy`.

        `hold` and `retry` need no action here: the boot is retried elsewhere, and supervision restarts containers.
        """
        policy = self.policy
        if policy in ("hold", "retry") or self.acted or self.progress.observed.identity is None:
            return
        self.acted = True
        log.error("acting on the failure", extra=fields(policy=policy, reason=reason))
        instance_id = self.progress.instance_id()
        act = self.signals.terminate if policy == "terminate" else self.signals.unhealthy
        result = await self._send(f"on_failure: {policy}", lambda: act(instance_id), StageProgress(name="on_failure"))
        parts = (self.progress.delivered.unsent_signals, result.unsent)
        self.progress.delivered.record_unsent_signals("; ".join(part for part in parts if part))

    async def _launching(self, success: bool, stage: StageProgress, *, hook_seconds: float) -> AnnouncementResult:
        hooks, instance_id = self.announcement.lifecycle_hooks, self.progress.instance_id()
        assert hooks is not None
        assert hooks.launching is not None
        hook = hooks.launching
        return await self._send(
            f"Auto Scaling hook {hook}",
            lambda: self.signals.lifecycle(hooks.group, hook, instance_id=instance_id, proceed=success),
            stage,
            not_waiting_yet_seconds=hook_seconds,
        )

    async def _send(
        self,
        recipient: str,
        signal: Callable[[], Awaitable[None]],
        stage: StageProgress,
        *,
        seconds_max: float | None = None,
        not_waiting_yet_seconds: float = 0.0,
    ) -> AnnouncementResult:
        """Send one signal, and retry it until it succeeds, fails permanently, or the time is over.

        For `not_waiting_yet_seconds`, the answer that the recipient does not wait is retried: it may not have begun.
        """
        seconds_max = self.seconds_max if seconds_max is None else seconds_max
        began, last = self.progress.monotonic(), "no answer"

        async def once() -> None:
            nonlocal last
            try:
                await signal()
            except NobodyWaits as exc:
                if self.progress.monotonic() - began >= min(not_waiting_yet_seconds, seconds_max / 2):
                    raise
                raise CloudRefused(exc.code, exc.message) from exc
            except CloudRefused as exc:
                last = exc.diagnostics()
                raise

        try:
            async with asyncio.timeout(seconds_max):
                await self.patience.keep_trying(once, stage, waiting_for=recipient)
        except NobodyWaits as exc:
            log.info("recipient does not wait", extra=fields(recipient=recipient, reason=exc.message))
            return AnnouncementResult(note=f"{recipient} does not wait for this instance ({exc.message})")
        except CloudRefused:
            log.error("signal failed", extra=fields(recipient=recipient, reason=last))
            return AnnouncementResult(unsent=f"{recipient} could not be signalled: {last}")
        except TimeoutError:
            log.error("signal timed out", extra=fields(recipient=recipient, reason=last))
            return AnnouncementResult(
                unsent=f"{recipient} could not be signalled within {seconds_max:g} seconds: {last}"
            )
        log.info("signal sent", extra=fields(recipient=recipient))
        return AnnouncementResult()
