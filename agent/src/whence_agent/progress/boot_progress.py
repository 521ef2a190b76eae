"""The boot's facet: how far its stages are, which try this is, and what the stages observed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from whence_agent.progress.stage import StageFailed, StageProgress
from whence_agent.stage_table import STAGES
from whence_common.clock import Now, to_instant
from whence_common.errors import WhenceError
from whence_common.problems import Problem
from whence_common.statement import ApplicationFacts, ImageFacts, ScmSourceFacts, StageFacts, UserDataFacts

if TYPE_CHECKING:
    from whence_common.identity_document import InstanceIdentity

BootState = Literal["booting", "up", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """The tries of this boot: there are several where `on_failure` is retry."""

    number: int = 1
    """Of the try that runs, or that ran last."""
    last_failure: str = ""
    """How the try before the present one failed, as "image: why"; empty in the first."""
    next_at: str = ""
    """When the next one begins, while there is one to come."""
    given_up: str = ""
    """Why there is no next one, although the policy is to retry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootObserved:
    """What the stages of the boot observed; another value after each of them."""

    identity: InstanceIdentity | None = None
    identity_blob: str = ""
    user_data: UserDataFacts | None = None
    application: ApplicationFacts | None = None
    image: ImageFacts | None = None
    scm_source: ScmSourceFacts | None = None
    problems: tuple[Problem, ...] = ()


def _all_waiting() -> dict[str, StageProgress]:
    return {row.name: StageProgress(name=row.name) for row in STAGES}


@dataclass(slots=True, kw_only=True)
class BootProgress:
    """Written by the room `boot`, on the event loop."""

    now: Now
    monotonic: Callable[[], float]
    on_stage: Callable[[str], None] = lambda _: None
    state: BootState = "booting"
    observed: BootObserved = field(default_factory=BootObserved)
    stages: dict[str, StageProgress] = field(default_factory=_all_waiting)
    identified: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the machine knows who it is; nothing can be told before."""
    booted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the application runs and is healthy."""
    failed_at: str = ""
    tries: Tries = field(default_factory=Tries)
    maintenance: bool = False
    disk_faults: dict[str, str] = field(default_factory=dict)
    """What the disk refused and is tried again, by what it is."""

    def record_observed(self, observed: BootObserved) -> None:
        """Take what the stages observed so far."""
        self.observed = observed
        if observed.identity is not None:
            self.identified.set()

    def mark_up(self) -> None:
        """Note that the boot is over and went well."""
        self.state = "up"
        self.booted.set()

    def mark_maintenance(self) -> None:
        """Note that user data asks for no container."""
        self.maintenance = True

    def mark_failed(self, *, at: str, tries: Tries) -> None:
        """Note that this try failed, and what follows."""
        self.state, self.failed_at, self.tries = "failed", at, tries

    def give_up(self, tries: Tries) -> None:
        """Note that the try that was announced does not come."""
        self.tries = tries

    def record_disk_fault(self, what: str, message: str) -> None:
        """Note what could not be kept, and is tried again."""
        self.disk_faults[what] = message

    def clear_disk_fault(self, what: str) -> None:
        """Note that it is kept now."""
        self.disk_faults.pop(what, None)

    def start_again(self) -> None:
        """Begin another try: forget what the one before saw, but for the machine and its user data."""
        before = self.observed
        self.observed = BootObserved(
            identity=before.identity,
            identity_blob=before.identity_blob,
            user_data=before.user_data,
            application=before.application,
        )
        failed = self.current_stage()
        last_failure = f"{failed.name}: {failed.reason}" if failed is not None else ""
        self.tries = Tries(number=self.tries.number + 1, last_failure=last_failure)
        self.stages = _all_waiting()
        self.state, self.failed_at = "booting", ""

    @asynccontextmanager
    async def stage(self, name: str, *, seconds_max: float) -> AsyncIterator[StageProgress]:
        """Run one boot stage under its deadline. Raises StageFailed for whatever a person can act on.

        When the deadline passes while something was waited for, the failure has the code and the fix of the last try.
        """
        stage = self.stages[name]
        began = self.monotonic()
        stage.begin(since=to_instant(self.now()), deadline=began + seconds_max)
        self.on_stage(name)
        try:
            async with asyncio.timeout(seconds_max):
                yield stage
        except StageFailed as exc:
            stage.fail(exc.problems[0].message if exc.problems else "")
            raise
        except WhenceError as exc:
            raise stage.refused(exc) from exc
        except TimeoutError as exc:
            raise stage.late(seconds_max) from exc
        except OSError as exc:
            raise stage.broken("machine-error", str(exc), "see the disk and the permissions") from exc
        else:
            if stage.outcome == "running":
                self.record_outcome(stage, note=stage.reason, deferred=False)
        finally:
            stage.seconds = round(self.monotonic() - began, 3)

    @asynccontextmanager
    async def part(self, stage: StageProgress, *, seconds_max: float) -> AsyncIterator[None]:
        """Run a part of a stage under a deadline of its own, which the status shows. Raises TimeoutError."""
        whole = stage.deadline
        ends = self.monotonic() + seconds_max
        stage.deadline = ends if whole is None else min(whole, ends)
        try:
            async with asyncio.timeout(seconds_max):
                yield
        finally:
            stage.deadline = whole

    def record_outcome(self, stage: StageProgress, *, note: str, deferred: bool) -> None:
        """Note how a stage ended that did not fail."""
        stage.outcome, stage.reason = "deferred" if deferred else "done", note

    def stage_facts(self) -> list[StageFacts]:
        """Return the stages that were reached, with durations and reasons."""
        return [
            StageFacts(name=stage.name, outcome=stage.outcome, seconds=stage.seconds, reason=stage.reason)
            for stage in self.stages.values()
            if stage.outcome != "waiting"
        ]

    def current_stage(self) -> StageProgress | None:
        """Return the stage that runs now, or the one that failed."""
        for stage in self.stages.values():
            if stage.outcome in ("running", "failed"):
                return stage
        return None
