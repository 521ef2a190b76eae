"""Handling of a failed boot: the failure is announced, and the policy `on_failure` is applied."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from whence_agent.boot.bring_up import BringUp
from whence_agent.boot.notify import NotifyStage
from whence_agent.boot.stage import ObservedSoFar
from whence_agent.boot.tries import BootTries
from whence_agent.ports import Notifier
from whence_agent.progress.progress import Progress
from whence_agent.progress.stage import StageFailed
from whence_agent.redaction import Redactor
from whence_agent.report.announcement import Announcer
from whence_agent.report.delivery import Delivery
from whence_agent.report.reporter import Reporter
from whence_common.clock import to_instant
from whence_common.problems import has_errors
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

FLUSH_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedBoot:
    progress: Progress
    bring_up: BringUp
    announcer: Announcer
    reporter: Reporter
    delivery: Delivery
    notifier: Notifier
    redactor: Redactor
    tries: BootTries
    console: Callable[[str], None]

    def note(self, failure: StageFailed) -> None:
        """Add the problems of the failure to those of the user data, for the status."""
        boot = self.progress.boot
        known = boot.observed.problems
        problems = known if has_errors(known) else (*known, *failure.problems)
        boot.record_observed(replace(boot.observed, problems=problems))

    async def settle(self, failure: StageFailed) -> float | None:
        """Announce the failure and apply the policy; return the monotonic time of the next try, None without one.

        As long as another try follows, stacks and hooks receive no failure: the stack would be rolled back although
        the machine may still come up.
        """
        progress = self.progress
        pause_seconds, given_up = self.tries.failed(
            failure, policy=self.announcer.policy, ending=progress.watched.ending
        )
        failed_at, next_at, next_at_instant = progress.now(), None, ""
        if pause_seconds is not None:
            next_at = progress.monotonic() + pause_seconds
            next_at_instant = to_instant(failed_at + timedelta(seconds=pause_seconds))
        tries = replace(progress.boot.tries, given_up=given_up, next_at=next_at_instant)
        progress.boot.mark_failed(at=to_instant(failed_at), tries=tries)
        await self._announce(failure, is_last=pause_seconds is None)
        return next_at

    async def _announce(self, failure: StageFailed, *, is_last: bool) -> None:
        boot = self.progress.boot
        reason, where = boot.stages[failure.stage].reason, f"boot failed at {failure.stage}"
        log.error(
            "boot failed",
            extra=fields(
                stage=failure.stage,
                problems=[p.code for p in failure.problems],
                attempt=boot.tries.number,
                next_at=boot.tries.next_at,
            ),
        )
        is_new = self.tries.is_new(failure)
        if is_new:
            self.reporter.report("failed")
        following = f"; next try at {boot.tries.next_at}" if boot.tries.next_at else ""
        self.notifier.notify(ready=True, status=f"{where}{following}: see the status endpoint")
        self.console(self.redactor.scrub(f"ERROR: {where}: {reason}{following}"))
        if boot.observed.identity is None:
            return
        if is_last:
            await self._signal_failure()
        if is_new or is_last:
            await self.delivery.flush(seconds_max=FLUSH_SECONDS_MAX)
        if is_last:
            await self.announcer.failed(where)

    async def _signal_failure(self) -> None:
        try:
            await self.bring_up.step(NotifyStage(announcer=self.announcer, success=False), ObservedSoFar())
        except StageFailed:
            log.error("the failure could not be signalled to CloudFormation or Auto Scaling")
