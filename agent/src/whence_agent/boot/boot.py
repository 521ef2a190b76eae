"""The boot: brings the instance to the state that its user data specifies, or to no container at all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from whence_agent.boot.adoption import AdoptedContainers, AdoptStage
from whence_agent.boot.bring_up import BringUp
from whence_agent.boot.credentials import CredentialsStage
from whence_agent.boot.disk_retries import DiskRetries
from whence_agent.boot.failure import FailedBoot
from whence_agent.boot.handover import Handover
from whence_agent.boot.run import Runner
from whence_agent.boot.stage import ObservedSoFar
from whence_agent.boot.user_data import Judged
from whence_agent.boot.warm_pool import WarmPool
from whence_agent.ports import Notifier
from whence_agent.progress.progress import Progress
from whence_agent.progress.stage import StageFailed
from whence_agent.report.announcement import Announcer
from whence_agent.report.reporter import Reporter
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause
from whence_common.user_data.judge import UserData

log = logging.getLogger(__name__)

DISK_SECONDS = 10.0
"""Pause between retries of writes that the disk refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """One boot of one machine. `run` is a service that continues after the boot, so that its end is always an error."""

    progress: Progress
    bring_up: BringUp
    adopting: AdoptStage
    credentials: CredentialsStage
    runner: Runner
    pool: WarmPool
    handover: Handover
    failure: FailedBoot
    disk: DiskRetries
    announcer: Announcer
    reporter: Reporter
    notifier: Notifier
    console: Callable[[str], None]

    async def run(self) -> None:
        """Boot and announce the result, then retry refused writes until cancelled.

        With the policy `retry`, the boot is tried again after a transient failure.
        """
        while True:
            try:
                await self.boot()
                break
            except StageFailed as exc:
                next_at = await self._no_container(exc)
            if next_at is None:
                break
            await pause(max(0.0, next_at - self.progress.monotonic()))
            if ending := self.progress.watched.ending:
                self.progress.boot.give_up(replace(self.progress.boot.tries, next_at="", given_up=ending))
                break
            self.progress.start_again()
        while True:
            await pause(DISK_SECONDS)
            await self.disk.try_again()
            if self.reporter.unstored_cause is not None:
                self.reporter.report(self.reporter.unstored_cause)

    async def boot(self) -> None:
        """Run the stages. Raises StageFailed. Nothing on the machine changes before the judgement is complete."""
        progress = self.progress
        so_far = await self.bring_up.run("judge", ObservedSoFar())
        user_data = so_far.of(Judged).user_data
        adopted = await self._adopt(user_data, so_far)
        if not adopted:
            await self._act(user_data, so_far)
        self.handover.hand_over(user_data, progress.watched.containers())
        if not adopted:
            await self.bring_up.run("announce", so_far)
        progress.boot.mark_up()
        self.reporter.report("boot")
        doing = "maintenance, no container of" if progress.boot.maintenance else "running"
        self.notifier.notify(ready=True, status=f"{doing} {user_data.application_id} {user_data.application_version}")
        self.console(f"SUCCESS: {doing} {user_data.application_id} {user_data.application_version}")
        log.info("booted", extra=fields(application=user_data.application_id, version=user_data.application_version))

    async def _adopt(self, user_data: UserData, so_far: ObservedSoFar) -> bool:
        found = (await self.bring_up.step(self.adopting, so_far)).found.get(self.adopting.name)
        if not isinstance(found, AdoptedContainers):
            return False
        await self.disk.keep("credentials", partial(self.credentials.keep, user_data))
        return True

    async def _act(self, user_data: UserData, so_far: ObservedSoFar) -> None:
        """Start what user data specifies; with `start: false`, no container. Raises StageFailed."""
        if user_data.load_balancer is not None or self.announcer.announcement.lifecycle_hooks is not None:
            state = await self.pool.state()
            if state is not None:
                self.progress.watched.record_pool(state)
        await self.bring_up.run("act", so_far)
        if not user_data.start:
            self.progress.boot.mark_maintenance()
            await self._tear_down()
        await self.disk.keep("state", partial(self._remember, user_data))

    async def _remember(self, user_data: UserData) -> None:
        self.adopting.remember(user_data, self.progress.observed)

    async def _no_container(self, failure: StageFailed) -> float | None:
        """Stop all containers and act on the failure. Return the monotonic time of the next try; None without one."""
        self.failure.note(failure)
        self.disk.forget()
        await self._tear_down()
        return await self.failure.settle(failure)

    async def _tear_down(self) -> None:
        if error := await self.runner.tear_down():
            self.progress.watched.record_engine_error(error)
        else:
            self.progress.watched.clear_containers()
