"""Decides whether and when a failed boot is tried again, and which failures are new. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from whence_agent.progress.stage import StageFailed
from whence_common.backoff import Backoff
from whence_common.user_data.lifecycle import OnFailure

FIRST_PAUSE_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class BootTries:
    """The failures of one boot so far."""

    backoff: Backoff
    failures: int = 0
    stated: set[tuple[str, ...]] = field(default_factory=set)
    """Failures that have a statement, by stage and codes: endless tries must not fill the ledger."""

    def failed(self, failure: StageFailed, *, policy: OnFailure, ending: str) -> tuple[float | None, str]:
        """Count a failure; return the pause before the next try, or None and the reason why there is none."""
        self.failures += 1
        if policy != "retry":
            return None, ""
        if ending:
            return None, f"not tried again: {ending}"
        if not failure.transient:
            return None, "not tried again: the error is permanent for this user data"
        return self.backoff.seconds(self.failures), ""

    def is_new(self, failure: StageFailed) -> bool:
        """Return whether a failure has no statement yet, and record that it has one now."""
        kind = (failure.stage, *sorted({problem.code for problem in failure.problems}))
        before = len(self.stated)
        self.stated.add(kind)
        return len(self.stated) > before
