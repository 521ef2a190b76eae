"""Drift: what runs or changes without being in user data. Each finding is reported once, then counted."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from whence_agent.progress.watched_state import WatchedState
from whence_common.clock import Now, to_instant
from whence_common.statement import DriftFacts

_KEPT_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Stores the newest findings in the watch's facet."""

    now: Now
    state: WatchedState

    def found(self, kind: str, container: str, *, image: str = "", detail: str = "") -> bool:
        """Record a finding; return whether it is new and therefore needs a statement."""
        now = to_instant(self.now())
        known = list(self.state.drift)
        for number, one in enumerate(known):
            if (one.kind, one.container, one.image, one.detail) == (kind, container, image, detail):
                known[number] = msgspec.structs.replace(one, last_at=now, count=one.count + 1)
                self.state.record_drift(tuple(known))
                return False
        facts = DriftFacts(kind=kind, container=container, image=image, detail=detail, first_at=now, last_at=now)
        self.state.record_drift((*known, facts)[-_KEPT_MAX:])
        return True
