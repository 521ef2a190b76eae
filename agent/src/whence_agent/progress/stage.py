"""The progress of one boot stage, and why it failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from whence_common.errors import RoadError, WhenceError
from whence_common.problems import Problem


class StageFailed(Exception):
    """A boot stage failed; `problems` state why. The boot ends without a container.

    `transient` states whether another try of the whole boot may succeed with the same user data.
    """

    def __init__(self, stage: str, problems: tuple[Problem, ...], *, transient: bool = False) -> None:
        super().__init__(f"stage {stage} failed: {problems[0].message if problems else ''}")
        self.stage = stage
        self.problems = problems
        self.transient = transient


@dataclass(slots=True, kw_only=True)
class StageProgress:
    """What the status shows about one stage. The stage writes what it waits for, the boot writes the outcome."""

    name: str
    outcome: Literal["waiting", "running", "done", "failed", "deferred"] = "waiting"
    since: str = ""
    seconds: float = 0.0
    reason: str = ""
    doing: str = ""
    """The progress as text, if known: "3 of 7 layers, 210 of 480 MB"."""
    deadline: float | None = None
    """The stage's deadline on the agent's monotonic clock, in seconds."""
    asking: str = ""
    """The service of the running request; the stated cause if the deadline passes before any answer."""
    waiting_for: str = ""
    """The service that it waits for between tries, as text; empty while it does not wait."""
    attempt: int = 1
    """While it waits, the number of the next or running try."""
    last_error: RoadError | None = None
    """The error of the last try; the stated cause if the deadline passes."""

    def begin(self, *, since: str, deadline: float) -> None:
        """Record that the stage runs from now on."""
        self.deadline, self.reason, self.doing = deadline, "", ""
        self.clear_wait()
        self.outcome, self.since = "running", since

    def wait_for(self, service: str, *, attempt: int, error: RoadError) -> None:
        """Record that a try failed and another one follows."""
        self.waiting_for, self.attempt, self.last_error = service, attempt, error
        self.reason = error.diagnostics()

    def clear_wait(self) -> None:
        """Record that a try succeeded."""
        self.asking = ""
        if self.waiting_for:
            self.waiting_for, self.attempt, self.last_error, self.reason = "", 1, None, ""

    def waiting(self, now: float) -> str:
        """Return what it waits for, "waiting for the registry, try 3, 84 s left"; empty if it does not wait. Pure."""
        if not self.waiting_for or self.outcome != "running":
            return ""
        left = "" if self.deadline is None else f", {max(0.0, self.deadline - now):.0f} s left"
        return f"waiting for {self.waiting_for}, try {self.attempt}{left}"

    def fail(self, reason: str) -> None:
        """Record that the stage failed, and why."""
        self.outcome, self.reason = "failed", reason

    def refused(self, error: WhenceError) -> StageFailed:
        """Fail with an expected error; return the failure to raise."""
        self.fail(error.diagnostics())
        return StageFailed(self.name, (_problem(error),), transient=isinstance(error, RoadError) and error.retryable)

    def broken(self, code: str, message: str, fix: str) -> StageFailed:
        """Fail with an error that may be transient; return the failure to raise."""
        error = WhenceError(code, f"{self.name}: {message}", fix=fix)
        self.fail(error.diagnostics())
        return StageFailed(self.name, (_problem(error),), transient=True)

    def late(self, seconds_max: float) -> StageFailed:
        """Fail because the deadline passed, with the last try's error as the cause; return the failure to raise."""
        so_far = f" ({self.doing})" if self.doing else ""
        message, last = f"not done within {seconds_max:g} seconds{so_far}", self.last_error
        if last is not None:
            tries = f"{self.attempt} tries" if self.attempt > 1 else "one try"
            return self.broken(last.code, f"{message} and {tries}: {last.message}", last.fix)
        state = "has not finished" if self.doing else "has not answered"
        reason = self.reason or (self.asking and f"{self.asking} {state}")
        why = f": {reason}" if reason else ""
        return self.broken("stage-deadline", f"{message}{why}", "")


def _problem(error: WhenceError) -> Problem:
    return Problem(severity="error", code=error.code, line=0, column=0, path="", message=error.message, fix=error.fix)
