"""How far this boot is and what was observed so far: the one truth behind the status endpoint and every statement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from whence_agent.stage_table import STAGES
from whence_common.clock import Now, to_instant
from whence_common.errors import RoadError, WhenceError
from whence_common.problems import Problem
from whence_common.statement import (
    ApplicationFacts,
    ContainerFacts,
    CredentialFacts,
    DriftFacts,
    ImageFacts,
    ScmSourceFacts,
    StageFacts,
    UserDataFacts,
)

if TYPE_CHECKING:
    from whence_common.identity_document import InstanceIdentity

BootState = Literal["booting", "up", "failed"]


class StageFailed(Exception):
    """A boot stage failed; `problems` say why. The boot ends here, without a container.

    `may_pass` tells whether another try of the whole boot can succeed with the same user data.
    """

    def __init__(self, stage: str, problems: tuple[Problem, ...], *, may_pass: bool = False) -> None:
        super().__init__(f"stage {stage} failed: {problems[0].message if problems else ''}")
        self.stage = stage
        self.problems = problems
        self.may_pass = may_pass


@dataclass(slots=True, kw_only=True)
class StageProgress:
    name: str
    outcome: Literal["waiting", "running", "done", "failed", "deferred"] = "waiting"
    since: str = ""
    seconds: float = 0.0
    reason: str = ""
    doing: str = ""
    """How far it is, in words for people, where that can be told: "3 of 7 layers, 210 of 480 MB"."""
    deadline: float | None = None
    """When it ends at the latest, on the agent's monotonic clock, in seconds."""
    asking: str = ""
    """Whom the try that runs asks: the cause that is stated when the deadline passes before any answer."""
    waiting_for: str = ""
    """Whom it waits for before it tries again, in words for people; empty while it waits for nobody."""
    attempt: int = 1
    """The number of the try that comes next, or runs, while it waits for somebody."""
    last_error: RoadError | None = None
    """What went wrong with the last try; the cause that is stated when the deadline passes."""

    def wait_for(self, whom: str, *, attempt: int, error: RoadError) -> None:
        """Note that a try failed and another one follows."""
        self.waiting_for, self.attempt, self.last_error = whom, attempt, error
        self.reason = error.diagnostics()

    def waits_no_more(self) -> None:
        """Note that a try succeeded."""
        self.asking = ""
        if self.waiting_for:
            self.waiting_for, self.attempt, self.last_error, self.reason = "", 1, None, ""

    def waiting(self, now: float) -> str:
        """Return what it waits for: "waiting for the registry, try 3, 84 s left"; empty when for nothing. Pure."""
        if not self.waiting_for or self.outcome != "running":
            return ""
        left = "" if self.deadline is None else f", {max(0.0, self.deadline - now):.0f} s left"
        return f"waiting for {self.waiting_for}, try {self.attempt}{left}"


@dataclass(slots=True, kw_only=True)
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


@dataclass(slots=True, kw_only=True)
class Observed:
    """What has been seen on this machine; grows stage by stage."""

    identity: InstanceIdentity | None = None
    identity_blob: str = ""
    user_data: UserDataFacts | None = None
    application: ApplicationFacts | None = None
    image: ImageFacts | None = None
    container: ContainerFacts | None = None
    sidecars: dict[str, ContainerFacts] = field(default_factory=dict)
    drift: tuple[DriftFacts, ...] = ()
    scm_source: ScmSourceFacts | None = None
    credentials: CredentialFacts | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True, kw_only=True)
class Delivered:
    """What the aggregator has acknowledged, and why it may not have more."""

    enrolled: bool = False
    waiting: int = 0
    dropped: int = 0
    refused: int = 0
    """Of those dropped, how many the aggregator refused for good; they are kept aside."""
    refusal: str = ""
    """Why the last one was refused, and where it is kept."""
    acknowledged: int = 0
    acknowledged_at: str = ""
    ledger_index: int | None = None
    error: str = ""
    heartbeat_at: str = ""


def _all_waiting() -> dict[str, StageProgress]:
    return {name: StageProgress(name=name) for name in STAGES}


@dataclass(slots=True, kw_only=True)
class Progress:
    """Mutable, owned by the event loop; `changed` is set whenever something moved."""

    now: Now
    monotonic: Callable[[], float]
    boot_id: str
    started_at: str
    state: BootState = "booting"
    observed: Observed = field(default_factory=Observed)
    delivered: Delivered = field(default_factory=Delivered)
    stages: dict[str, StageProgress] = field(default_factory=_all_waiting)
    identified: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the machine knows who it is; nothing can be told before."""
    booted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the application runs and is healthy."""
    failed_at: str = ""
    tries: Tries = field(default_factory=Tries)
    ending: str = ""
    """Why the containers were drained, once they are."""
    maintenance: bool = False
    crash_loop: str = ""
    engine_error: str = ""
    disk_error: str = ""
    disk_faults: dict[str, str] = field(default_factory=dict)
    """What the disk refused and is tried again, by what it is."""
    credentials_message: str = ""
    tokens_error: str = ""
    notices: str = ""
    pool: str = ""
    """The state in its group's warm pool that Auto Scaling has for this machine, while it has one."""
    log_problems: tuple[Problem, ...] = ()
    """What is wrong with the aggregator's log: it forked, or it is another one than before."""
    untold: str = ""
    """Who could not be told how the boot went."""
    on_stage: Callable[[str], None] = lambda _: None

    @asynccontextmanager
    async def stage(self, name: str, *, seconds_max: float) -> AsyncIterator[StageProgress]:
        """Run one boot stage under its deadline. Raises StageFailed for whatever a person can act on.

        When the deadline passes while something was waited for, the failure has the code and the fix of the last try.
        """
        stage = self.stages[name]
        began = self.monotonic()
        stage.deadline, stage.reason, stage.doing = began + seconds_max, "", ""
        stage.waits_no_more()
        stage.outcome, stage.since = "running", to_instant(self.now())
        self.on_stage(name)
        try:
            async with asyncio.timeout(seconds_max):
                yield stage
        except StageFailed as exc:
            self._failed(stage, exc.problems[0].message if exc.problems else "")
            raise
        except WhenceError as exc:
            self._failed(stage, exc.diagnostics())
            may_pass = isinstance(exc, RoadError) and exc.retryable
            raise StageFailed(name, (_problem(exc),), may_pass=may_pass) from exc
        except TimeoutError as exc:
            raise self._late(stage, seconds_max) from exc
        except OSError as exc:
            raise self._broken(stage, "machine-error", str(exc), "see the disk and the permissions") from exc
        else:
            if stage.outcome == "running":
                stage.outcome = "done"
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

    def start_again(self) -> None:
        """Begin another try: forget what the one before saw, but for the machine, its user data and credentials."""
        before = self.observed
        self.observed = Observed(
            identity=before.identity,
            identity_blob=before.identity_blob,
            user_data=before.user_data,
            application=before.application,
            drift=before.drift,
            credentials=before.credentials,
        )
        failed = self.current_stage()
        last_failure = f"{failed.name}: {failed.reason}" if failed is not None else ""
        self.tries = Tries(number=self.tries.number + 1, last_failure=last_failure)
        self.stages = _all_waiting()
        self.state, self.failed_at = "booting", ""
        self.engine_error = self.untold = ""

    def region(self) -> str:
        """Give the region; asked only after the identity stage."""
        assert self.observed.identity is not None
        return self.observed.identity.region

    def zone(self) -> str:
        """Give the availability zone; asked only after the identity stage."""
        assert self.observed.identity is not None
        return self.observed.identity.availability_zone

    def instance_id(self) -> str:
        """Give the instance's id; asked only after the identity stage."""
        assert self.observed.identity is not None
        return self.observed.identity.instance_id

    def stage_facts(self) -> list[StageFacts]:
        """Give the stages that were reached, with durations and reasons."""
        return [
            StageFacts(name=stage.name, outcome=stage.outcome, seconds=stage.seconds, reason=stage.reason)
            for stage in self.stages.values()
            if stage.outcome != "waiting"
        ]

    def current_stage(self) -> StageProgress | None:
        """Give the stage that runs now, or the one that failed."""
        for stage in self.stages.values():
            if stage.outcome in ("running", "failed"):
                return stage
        return None

    def _late(self, stage: StageProgress, seconds_max: float) -> StageFailed:
        so_far = f" ({stage.doing})" if stage.doing else ""
        message, last = f"not done within {seconds_max:g} seconds{so_far}", stage.last_error
        if last is not None:
            tries = f"{stage.attempt} tries" if stage.attempt > 1 else "one try"
            return self._broken(stage, last.code, f"{message} and {tries}: {last.message}", last.fix)
        state = "has not finished" if stage.doing else "has not answered"
        reason = stage.reason or (stage.asking and f"{stage.asking} {state}")
        why = f": {reason}" if reason else ""
        return self._broken(stage, "stage-deadline", f"{message}{why}", "")

    def _broken(self, stage: StageProgress, code: str, message: str, fix: str) -> StageFailed:
        error = WhenceError(code, f"{stage.name}: {message}", fix=fix)
        self._failed(stage, error.diagnostics())
        return StageFailed(stage.name, (_problem(error),), may_pass=True)

    def _failed(self, stage: StageProgress, reason: str) -> None:
        stage.outcome, stage.reason = "failed", reason


def _problem(error: WhenceError) -> Problem:
    return Problem(severity="error", code=error.code, line=0, column=0, path="", message=error.message, fix=error.fix)
