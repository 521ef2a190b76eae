"""The event of CloudTrail that started an instance, as it is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.trace.behind import TakenRole


@dataclass(frozen=True, slots=True, kw_only=True)
class StartEvent:
    """An event RunInstances or StartInstances that names the instance. `at` is by CloudTrail; `doer` is who called."""

    ledger_index: int
    event_id: str
    account_id: str
    region: str
    name: str
    at: str
    doer: Mapping[str, Any]
    later: bool
    """Whether it was recorded after the time asked about: nothing that was recorded by then names a start."""
    sessions: Sequence[TakenRole] = ()
    """Recorded calls that made the keys of sessions, this one's among them."""
