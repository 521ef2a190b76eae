"""What happens on the machine that user data did not ask for: told once, then counted."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from whence_agent.progress import Progress
from whence_common.clock import to_instant
from whence_common.statement import DriftFacts

_KEPT_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Keeps the newest findings in what was observed."""

    progress: Progress

    def found(self, kind: str, container: str, *, image: str = "", detail: str = "") -> bool:
        """Note a finding; give whether it is a new one, which is worth a statement."""
        now = to_instant(self.progress.now())
        known = list(self.progress.observed.drift)
        for number, one in enumerate(known):
            if (one.kind, one.container, one.image, one.detail) == (kind, container, image, detail):
                known[number] = msgspec.structs.replace(one, last_at=now, count=one.count + 1)
                self.progress.observed.drift = tuple(known)
                return False
        facts = DriftFacts(kind=kind, container=container, image=image, detail=detail, first_at=now, last_at=now)
        self.progress.observed.drift = (*known, facts)[-_KEPT_MAX:]
        return True
