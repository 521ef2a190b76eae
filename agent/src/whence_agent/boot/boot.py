"""The boot: bring the instance to the state its user data specifies, or to no container at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from whence_agent.boot.bring_up import BringUp
from whence_agent.boot.identity import read_identity
from whence_agent.boot.tries import BootTries
from whence_agent.ports import Metadata, MetadataUnavailable, Notifier
from whence_agent.ports_aggregator import AggregatorUnavailable
from whence_agent.progress import Progress, StageFailed, StageProgress
from whence_agent.redaction import Redactor
from whence_agent.report.announcement import Announcer
from whence_agent.report.delivery import Delivery
from whence_agent.report.instance_key import InstanceKey
from whence_agent.report.key_owner import KeyOwner
from whence_agent.report.reporter import Reporter
from whence_agent.settings import Settings
from whence_agent.watch.lifecycle_states import in_pool
from whence_common.clock import to_instant
from whence_common.digest import sha256_digest
from whence_common.identity_document import InstanceIdentity
from whence_common.problems import has_errors
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause
from whence_common.statement import (
    ApplicationFacts,
    ContainerFacts,
    DriftFacts,
    ImageFacts,
    ScmSourceFacts,
    UserDataFacts,
)
from whence_common.user_data.judge import UserData, judge
from whence_common.user_data.masking import masked

log = logging.getLogger(__name__)

FLUSH_SECONDS_MAX = 10.0
POOL_SECONDS_MAX = 30.0
"""So long a boot waits to know whether it is one of a warm pool: there, no load balancer would ever have it."""
DISK_SECONDS = 10.0
"""After so long, what the disk refused is tried again."""


@dataclass(slots=True, kw_only=True)
class Boot:
    """One boot of one machine. `run` is a service: it stays after the boot, so that its end is always a failure."""

    settings: Settings
    metadata: Metadata
    notifier: Notifier
    bring_up: BringUp
    progress: Progress
    reporter: Reporter
    delivery: Delivery
    announcer: Announcer
    redactor: Redactor
    key: InstanceKey
    owner: KeyOwner
    tries: BootTries
    console: Callable[[str], None]
    owed: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """What the disk refused so far, by its name on the status."""

    async def run(self) -> None:
        """Boot, again after failures that may pass where the policy is to retry; tell how it ended, then stay."""
        while True:
            try:
                await self.boot()
                break
            except StageFailed as exc:
                next_at = await self._no_container(exc)
            if next_at is None:
                break
            await pause(max(0.0, next_at - self.progress.monotonic()))
            if self.progress.ending:
                self.progress.tries.next_at, self.progress.tries.given_up = "", self.progress.ending
                break
            self.progress.start_again()
        while True:
            await pause(DISK_SECONDS)
            await self._pay()
            if self.reporter.owed is not None:
                self.reporter.report(self.reporter.owed)

    async def boot(self) -> None:
        """Go through the stages. Raises StageFailed; nothing is touched before the judgement is complete."""
        raw = await self._identity()
        user_data = await self._judge(raw)
        await self._enrol()
        adopted = await self._adopt(user_data)
        if not adopted:
            await self._look_for_pool(user_data)
            await self.bring_up.run(user_data)
            await self._owe("state", lambda: self._remember(user_data))
        self.bring_up.watch(user_data)
        if not adopted:
            await self._announce(success=True)
        progress = self.progress
        progress.state = "up"
        progress.booted.set()
        self.reporter.report("boot")
        doing = "maintenance, no container of" if progress.maintenance else "running"
        self.notifier.notify(ready=True, status=f"{doing} {user_data.application_id} {user_data.application_version}")
        self.console(f"SUCCESS: {doing} {user_data.application_id} {user_data.application_version}")
        log.info("booted", extra=fields(application=user_data.application_id, version=user_data.application_version))

    async def _identity(self) -> bytes:
        async with self.progress.stage("identity", seconds_max=self.settings.stage_seconds("identity")) as stage:
            return await read_identity(
                self.metadata, self.progress, stage, patience=self.bring_up.patience, check=self._check
            )

    def _check(self, identity: InstanceIdentity) -> None:
        """See whose key this is, before it signs anything. A disk that refuses stops no boot."""
        try:
            self.owner.check(identity)
        except OSError as exc:
            self.progress.disk_error = f"the key of another machine could not be replaced: {exc}"
            log.error("key not replaced", extra=fields(error=str(exc)))
        self.delivery.remember()

    async def _judge(self, raw: bytes) -> UserData:
        observed = self.progress.observed
        async with self.progress.stage("user-data", seconds_max=self.settings.stage_seconds("user-data")):
            judgement = judge(raw, self.settings.platform_rules())
            observed.problems = judgement.problems
            self.announcer.announcement = judgement.announcement
            document = judgement.document
            if document is not None:
                document = masked(
                    document,
                    whole_environment=self.settings.mask_environment,
                    shown=self.settings.show_environment,
                )
            observed.user_data = UserDataFacts(digest=sha256_digest(raw), document=document)
            if judgement.user_data is None:
                raise StageFailed("user-data", tuple(p for p in judgement.problems if p.severity == "error"))
            user_data = judgement.user_data
            observed.application = ApplicationFacts(id=user_data.application_id, version=user_data.application_version)
            return user_data

    async def _enrol(self) -> None:
        """Enrol if that is quickly done; the aggregator being away never stops a boot."""
        seconds_max = self.settings.stage_seconds("enrol")
        async with self.progress.stage("enrol", seconds_max=seconds_max + 5) as stage:
            try:
                async with asyncio.timeout(seconds_max):
                    await self.delivery.enrol()
            except AggregatorUnavailable as exc:
                stage.outcome, stage.reason = "deferred", exc.diagnostics()
            except TimeoutError:
                stage.outcome, stage.reason = "deferred", "the aggregator did not answer in time"

    async def _look_for_pool(self, user_data: UserData) -> None:
        """See whether this machine goes into its group's warm pool: no load balancer asks for it there."""
        if user_data.load_balancer is None and self.announcer.announcement.lifecycle_hooks is None:
            return
        try:
            async with asyncio.timeout(POOL_SECONDS_MAX):
                found = await self.bring_up.patience.keep_trying(
                    self.metadata.notices, StageProgress(name="warm pool"), waiting_for="the metadata service"
                )
        except (MetadataUnavailable, TimeoutError) as exc:
            log.warning("not known whether this is a warm pool", extra=fields(reason=str(exc)))
            return
        state = found.lifecycle_state
        self.progress.pool = state if in_pool(state) else ""

    async def _announce(self, *, success: bool) -> None:
        """Tell who waits; not having been told is on the status, but fails nothing."""
        told = self.announcer.announcement
        if told.stack_resource is None and told.lifecycle_hooks is None:
            return
        seconds_max = self.settings.stage_seconds("notify")
        async with self.progress.stage("notify", seconds_max=seconds_max + 5) as stage:
            await self.announcer.booted(success=success, stage=stage)
            if self.progress.untold:
                stage.outcome, stage.reason = "deferred", self.progress.untold

    async def _adopt(self, user_data: UserData) -> bool:
        """Take over the containers of this very boot and user data: restarting the agent restarts no application."""
        remembered = self.key.remembered("running")
        if remembered.get("boot_id") != self.progress.boot_id or remembered.get("user_data") != user_data.digest:
            return False
        known = remembered.get("containers", {})
        async with self.progress.stage("run", seconds_max=self.settings.stage_seconds("run")) as stage:
            found = await self.bring_up.runner.find(user_data, stage)
            if not known or {name: one.container_id for name, one in found.items()} != known:
                return False
            if any(one.state != "running" for one in found.values()):
                return False
            stage.reason = "the containers of this boot already run"
            self._recall(remembered, found)
        await self._owe("credentials", lambda: self.bring_up.keep_credentials(user_data))
        return True

    async def _owe(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do what needs the disk while containers run: where it refuses, the status says so, and it is tried again."""
        self.owed[what] = work
        await self._pay()

    async def _pay(self) -> None:
        for what, work in list(self.owed.items()):
            try:
                await work()
            except OSError as exc:
                self.progress.disk_faults[what] = f"{what} cannot be kept on the disk: {exc}"
                log.error("the disk refuses", extra=fields(what=what, error=str(exc)))
            else:
                del self.owed[what]
                self.progress.disk_faults.pop(what, None)

    async def _remember(self, user_data: UserData) -> None:
        observed = self.progress.observed
        running = [observed.container, *observed.sidecars.values()]
        values = {
            "boot_id": self.progress.boot_id,
            "user_data": user_data.digest,
            "containers": {one.name: one.container_id for one in running if one is not None},
            "image": msgspec.to_builtins(observed.image),
            "scm_source": msgspec.to_builtins(observed.scm_source),
        }
        self.key.remember("running", values)

    def _recall(self, remembered: Mapping[str, Any], found: Mapping[str, ContainerFacts]) -> None:
        observed = self.progress.observed
        observed.image = msgspec.convert(remembered["image"], ImageFacts)
        observed.scm_source = msgspec.convert(remembered["scm_source"], ScmSourceFacts)
        drift = self.key.remembered("drift")
        if drift.get("boot_id") == self.progress.boot_id:
            observed.drift = tuple(msgspec.convert(drift["drift"], list[DriftFacts]))
        for name, facts in found.items():
            if name == self.settings.container_name:
                observed.container = facts
            else:
                observed.sidecars[name] = msgspec.structs.replace(facts, declared_digest=facts.image_digest)

    async def _no_container(self, failure: StageFailed) -> float | None:
        """See to it that no container runs, tell everybody why, and act as the policy says.

        Return when the next try begins, on the monotonic clock; None where there is none. While there is one, nobody
        who waits hears of a failure: a stack would be rolled back, although the machine may yet come up.
        """
        progress = self.progress
        known = progress.observed.problems
        progress.observed.problems = known if has_errors(known) else (*known, *failure.problems)
        self.owed.clear()
        progress.disk_faults.clear()
        await self.bring_up.runner.tear_down()
        pause_seconds, progress.tries.given_up = self.tries.failed(
            failure, policy=self.announcer.policy, ending=progress.ending
        )
        progress.state, failed_at = "failed", progress.now()
        progress.failed_at = to_instant(failed_at)
        if pause_seconds is not None:
            progress.tries.next_at = to_instant(failed_at + timedelta(seconds=pause_seconds))
        next_at = None if pause_seconds is None else progress.monotonic() + pause_seconds
        await self._tell_failure(failure, is_last=pause_seconds is None)
        return next_at

    async def _tell_failure(self, failure: StageFailed, *, is_last: bool) -> None:
        progress = self.progress
        reason, where = progress.stages[failure.stage].reason, f"boot failed at {failure.stage}"
        log.error(
            "boot failed",
            extra=fields(
                stage=failure.stage,
                problems=[p.code for p in failure.problems],
                attempt=progress.tries.number,
                next_at=progress.tries.next_at,
            ),
        )
        is_new = self.tries.is_new(failure)
        if is_new:
            self.reporter.report("failed")
        following = f"; next try at {progress.tries.next_at}" if progress.tries.next_at else ""
        self.notifier.notify(ready=True, status=f"{where}{following}: see the status endpoint")
        self.console(self.redactor.scrub(f"ERROR: {where}: {reason}{following}"))
        if progress.observed.identity is None:
            return
        if is_last:
            try:
                await self._announce(success=False)
            except StageFailed:
                log.error("who waits for this machine could not be told")
        if is_new or is_last:
            await self.delivery.flush(seconds_max=FLUSH_SECONDS_MAX)
        if is_last:
            await self.announcer.failed(where)
