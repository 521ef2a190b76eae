"""Metrics of notifications: what was sent and how it ended, what waits, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from whence_aggregator.notifications.dead_box import NotificationBox
from whence_common.clock import Now
from whence_common.meters import Counter
from whence_common.open_metrics import Family, Sample

OUTCOMES = ("accepted", "failed", "dead", "gone")
_DESTINATION = frozenset({"destination"})


class NotificationMeasures:
    """Counts what this process sent, and reads what waits. `families` of what waits raises StorageUnavailable."""

    def __init__(self, box: NotificationBox, *, names: Sequence[str], now: Now) -> None:
        self._box = box
        self._now = now
        self._configured = bool(names)
        self._sent = Counter(
            "whence_notifications", "Messages, by how the try ended.", ("destination", "outcome"),
            hidden=("destination",), known=[(name, outcome) for name in names for outcome in OUTCOMES],
        )  # fmt: skip

    def count(self, destination: str, outcome: str) -> None:
        self._sent.add(destination, outcome)

    def families(self) -> Sequence[Family]:
        return (self._sent.family(),) if self._configured else ()

    async def stored(self) -> Sequence[Family]:
        """Return metrics from the database."""
        if not self._configured:
            return ()
        found = await self._box.destinations()
        return (
            _gauge("waiting", "Steps that wait to be sent.", [(one["name"], one["waiting"]) for one in found]),
            _gauge("dead_letters", "Steps that were given up.", [(one["name"], one["dead"]) for one in found]),
            _gauge(
                "late_seconds", "How long the oldest step has been due; mail waits for its digest.",
                [(one["name"], self._late(one["oldest_due_at"])) for one in found],
            ),
            _gauge(
                "disabled", "1 if the receiver wants no more messages.",
                [(one["name"], int(one["disabled_at"] is not None)) for one in found],
            ),
        )  # fmt: skip

    def _late(self, due: object) -> float:
        return max(0.0, (self._now() - datetime.fromisoformat(due)).total_seconds()) if isinstance(due, str) else 0.0


def _gauge(name: str, help_: str, values: Sequence[tuple[object, object]]) -> Family:
    samples = [Sample(float(str(value)), {"destination": str(destination)}) for destination, value in values]
    return Family(name=f"whence_notifications_{name}", kind="gauge", help=help_, samples=samples, hidden=_DESTINATION)
