"""How far one boot stage is, and why one failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from whence_common.errors import RoadError, WhenceError
from whence_common.problems import Problem


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
    """What the status shows of one stage; the stage itself writes what it waits for, boot writes the outcome."""

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

    def begin(self, *, since: str, deadline: float) -> None:
        """Note that it runs from now on."""
        self.deadline, self.reason, self.doing = deadline, "", ""
        self.clear_wait()
        self.outcome, self.since = "running", since

    def wait_for(self, whom: str, *, attempt: int, error: RoadError) -> None:
        """Note that a try failed and another one follows."""
        self.waiting_for, self.attempt, self.last_error = whom, attempt, error
        self.reason = error.diagnostics()

    def clear_wait(self) -> None:
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

    def fail(self, reason: str) -> None:
        """Note that it failed, and why."""
        self.outcome, self.reason = "failed", reason

    def refused(self, error: WhenceError) -> StageFailed:
        """Fail with an error that a person can act on; return the failure to raise."""
        self.fail(error.diagnostics())
        return StageFailed(self.name, (_problem(error),), may_pass=isinstance(error, RoadError) and error.retryable)

    def broken(self, code: str, message: str, fix: str) -> StageFailed:
        """Fail for a cause that another try may not have; return the failure to raise."""
        error = WhenceError(code, f"{self.name}: {message}", fix=fix)
        self.fail(error.diagnostics())
        return StageFailed(self.name, (_problem(error),), may_pass=True)

    def late(self, seconds_max: float) -> StageFailed:
        """Fail because the deadline passed, with the cause of the last try; return the failure to raise."""
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
