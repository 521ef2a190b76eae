"""The facet of the boot: the progress of its stages, the number of the try, and what the stages observed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
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
    """The tries of this boot; with `on_failure: retry` there may be several."""

    number: int = 1
    """The number of the current try, or of the last one."""
    last_failure: str = ""
    """How the previous try failed, as "STAGE: REASON"; empty in the first try."""
    next_at: str = ""
    """When the next try begins; empty without one."""
    given_up: str = ""
    """Why there is no next try although the policy is `retry`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootObserved:
    """What the stages of the boot have observed so far; replaced after each of them."""

    identity: InstanceIdentity | None = None
    identity_blob: str = ""
    user_data: UserDataFacts | None = None
    application: ApplicationFacts | None = None
    image: ImageFacts | None = None
    scm_source: ScmSourceFacts | None = None
    problems: tuple[Problem, ...] = ()
    quotes: Mapping[int, str] = field(default_factory=dict)
    """The lines of user data that problems are about, by number."""


def _all_waiting() -> dict[str, StageProgress]:
    return {row.name: StageProgress(name=row.name) for row in STAGES}


@dataclass(slots=True, kw_only=True)
class BootProgress:
    """The progress of the boot. Written by the package `boot`, on the event loop."""

    now: Now
    monotonic: Callable[[], float]
    on_stage: Callable[[str], None] = lambda _: None
    state: BootState = "booting"
    observed: BootObserved = field(default_factory=BootObserved)
    stages: dict[str, StageProgress] = field(default_factory=_all_waiting)
    identified: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the instance's identity is known; nothing can be reported before."""
    booted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the application runs and is healthy."""
    failed_at: str = ""
    tries: Tries = field(default_factory=Tries)
    maintenance: bool = False
    disk_faults: dict[str, str] = field(default_factory=dict)
    """Messages of writes that the disk refused and that are retried, by the name of the write."""

    def record_observed(self, observed: BootObserved) -> None:
        """Record what the stages have observed so far."""
        self.observed = observed
        if observed.identity is not None:
            self.identified.set()

    def mark_up(self) -> None:
        """Record that the boot has succeeded."""
        self.state = "up"
        self.booted.set()

    def mark_maintenance(self) -> None:
        """Record that user data specifies no container (`start: false`)."""
        self.maintenance = True

    def mark_failed(self, *, at: str, tries: Tries) -> None:
        """Record that this try failed, and whether another follows."""
        self.state, self.failed_at, self.tries = "failed", at, tries

    def give_up(self, tries: Tries) -> None:
        """Record that the announced next try does not take place."""
        self.tries = tries

    def record_disk_fault(self, what: str, message: str) -> None:
        """Record a write that the disk refused and that is retried."""
        self.disk_faults[what] = message

    def clear_disk_fault(self, what: str) -> None:
        """Record that the write has succeeded."""
        self.disk_faults.pop(what, None)

    def start_again(self) -> None:
        """Begin another try: forget what the previous one observed, except identity and user data."""
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
        """Run one boot stage under its deadline. Raises StageFailed for every expected error.

        If the deadline passes during retries, the failure has the code and the fix of the last error.
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
            raise stage.broken("machine-error", str(exc), "check the disk and the permissions") from exc
        else:
            if stage.outcome == "running":
                self.record_outcome(stage, note=stage.reason, deferred=False)
        finally:
            stage.seconds = round(self.monotonic() - began, 3)

    @asynccontextmanager
    async def part(self, stage: StageProgress, *, seconds_max: float) -> AsyncIterator[None]:
        """Run a part of a stage under a deadline of its own, which the status shows. Raises TimeoutError."""
        stage_deadline = stage.deadline
        ends = self.monotonic() + seconds_max
        stage.deadline = ends if stage_deadline is None else min(stage_deadline, ends)
        try:
            async with asyncio.timeout(seconds_max):
                yield
        finally:
            stage.deadline = stage_deadline

    def record_outcome(self, stage: StageProgress, *, note: str, deferred: bool) -> None:
        """Record the outcome of a stage that did not fail."""
        stage.outcome, stage.reason = "deferred" if deferred else "done", note

    def stage_facts(self) -> list[StageFacts]:
        """Return the stages that have started, with their durations and reasons."""
        return [
            StageFacts(name=stage.name, outcome=stage.outcome, seconds=stage.seconds, reason=stage.reason)
            for stage in self.stages.values()
            if stage.outcome != "waiting"
        ]

    def current_stage(self) -> StageProgress | None:
        """Return the stage that runs now or that failed; None without one."""
        for stage in self.stages.values():
            if stage.outcome in ("running", "failed"):
                return stage
        return None
