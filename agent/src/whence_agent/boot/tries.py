"""Whether and when a boot that failed is tried again, and what has been stated of its failures. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from whence_agent.progress.stage import StageFailed
from whence_common.backoff import Backoff
from whence_common.user_data.lifecycle import OnFailure

FIRST_PAUSE_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class BootTries:
    """The failures of one boot, as far as they decide about the next try."""

    backoff: Backoff
    failures: int = 0
    stated: set[tuple[str, ...]] = field(default_factory=set)
    """Failures of which there is a statement, by stage and codes: tries without end must not fill the ledger."""

    def failed(self, failure: StageFailed, *, policy: OnFailure, ending: str) -> tuple[float | None, str]:
        """Count a failure; return the pause before the next try, None without one, and why there is none."""
        self.failures += 1
        if policy != "retry":
            return None, ""
        if ending:
            return None, f"not tried again: {ending}"
        if not failure.may_pass:
            return None, "not tried again: the same user data fails in the same way"
        return self.backoff.seconds(self.failures), ""

    def is_new(self, failure: StageFailed) -> bool:
        """Return whether a failure has not been stated yet; from then on it has."""
        kind = (failure.stage, *sorted({problem.code for problem in failure.problems}))
        before = len(self.stated)
        self.stated.add(kind)
        return len(self.stated) > before
