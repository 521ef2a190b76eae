"""Heartbeats move `last_seen` and nothing else. Committed in groups; never in the ledger."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.group_commit import GroupCommit
from whence_aggregator.ports import Database, Parameters, Unauthenticated
from whence_common.clock import Now, to_instant
from whence_common.heartbeat import Heartbeat, HeartbeatInvalid, derive_key, verify_mac

BATCH_MAX = 1_024
QUEUE_MAX = 8_192


class Heartbeats:
    """Accepts heartbeats. `run` is the service that commits them."""

    def __init__(self, *, database: Database, secret: bytes, now: Now) -> None:
        self._database = database
        self._secret = secret
        self._now = now
        self._commits = GroupCommit[Parameters, None](self._commit, batch_max=BATCH_MAX, queue_max=QUEUE_MAX)
        self.run = self._commits.run

    async def accept(self, content: bytes, mac: str) -> None:
        """Accept one heartbeat. Raises HeartbeatInvalid, Unauthenticated or Overloaded."""
        heartbeat = Heartbeat.from_wire(content)
        key = derive_key(self._secret, instance_id=heartbeat.instance_id, enrolment=heartbeat.enrolment)
        try:
            verify_mac(key, content, mac)
        except HeartbeatInvalid as exc:
            raise Unauthenticated(exc.code, exc.message, fix="enrol again") from exc
        seen = {
            "instance_id": heartbeat.instance_id,
            "seen_at": to_instant(self._now()),
            "state_digest": heartbeat.state_digest,
        }
        await self._commits.submit(seen)

    async def _commit(self, batch: Sequence[Parameters]) -> Sequence[None]:
        async with self._database.transaction() as transaction:
            await transaction.execute("see", batch)
        return [None] * len(batch)
