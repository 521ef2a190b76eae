"""A message to a destination that states that it is a test, sent at once and past everything that is planned."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence

from whence_aggregator.notifications.delivering import Lane
from whence_aggregator.notifications.outcome import DeliveryOutcome, Notification, Parcel
from whence_aggregator.ports import NotFound
from whence_aggregator.projections.violation_rows import StoredViolation
from whence_common.clock import Now, to_instant
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)


class Trial:
    """Sends test messages."""

    def __init__(self, *, lanes: Sequence[Lane], now: Now) -> None:
        self._lanes = {one.destination.name: one for one in lanes}
        self._now = now

    async def send(self, name: str, *, by: str) -> DeliveryOutcome:
        """Send a test message to a destination; return how it answered. Raises NotFound."""
        lane = self._lanes.get(name)
        if lane is None:
            raise NotFound("destination-unknown", "no destination has this name", fix="see GET /v1/notifications")
        now = self._now()
        at = to_instant(now)
        named = f"test\n{name}\n{at}"
        identity = f"msg_{hashlib.sha256(named.encode()).hexdigest()[:32]}"
        after = StoredViolation(
            id="v-" + "0" * 20, rule="test", kind="application", subject="test", severity=4, first_seen=at, since=at,
            last_seen=at, reason="This is a test, and no violation.",
        )  # fmt: skip
        one = Notification(id=identity, ledger_index=-1, step="test", at=at, by=by, comment="", after=after)
        outcome = await lane.sender.send(Parcel(id=identity, notifications=[one]), now)
        log.info("test message sent", extra=fields(destination=name, by=by, outcome=outcome.kind, code=outcome.code))
        return outcome
