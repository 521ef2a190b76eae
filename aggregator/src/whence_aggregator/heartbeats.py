"""Heartbeats move `last_seen` and nothing else. Committed in groups; never in the ledger; no public-key operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whence_aggregator.group_commit import GroupCommit
from whence_aggregator.limits import Limit
from whence_aggregator.ports import Database, Overloaded, StorageUnavailable, Unauthenticated
from whence_aggregator.sightings import Heard, Listening, Sightings
from whence_common.clock import Now, to_millis
from whence_common.heartbeat import Heartbeat, HeartbeatInvalid, derive_key, verify_mac

BATCH_MAX = 1_024
QUEUE_MAX = 8_192
_KEYS_KEPT_MAX = 100_000


class Heartbeats:
    """Accepts heartbeats. `run` is the service that commits them."""

    def __init__(
        self,
        *,
        database: Database,
        secret: bytes,
        sightings: Sightings,
        listening: Listening,
        limit: Limit,
        now: Now,
    ) -> None:
        self._database = database
        self._secret = secret
        self._sightings = sightings
        self._listening = listening
        self._limit = limit
        self._now = now
        self._keys: dict[tuple[str, int], bytes] = {}
        self._commits = GroupCommit[Heard, None](self._commit, batch_max=BATCH_MAX, queue_max=QUEUE_MAX)
        self.run = self._commits.run

    async def accept(self, content: bytes, mac: str) -> None:
        """Accept one heartbeat. Raises HeartbeatInvalid, Unauthenticated or Overloaded."""
        heartbeat = Heartbeat.from_wire(content)
        try:
            verify_mac(self._key(heartbeat), content, mac)
        except HeartbeatInvalid as exc:
            raise Unauthenticated(exc.code, exc.message, fix="enrol again") from exc
        self._limit.take(heartbeat.instance_id)
        try:
            await self._commits.submit((heartbeat.instance_id, heartbeat.enrolment))
        except (Overloaded, StorageUnavailable):
            self._listening.broken()
            raise

    def queues(self) -> Mapping[str, tuple[int, int]]:
        """Return how many heartbeats wait, and how many may."""
        return {"heartbeats": self._commits.waiting}

    def _key(self, heartbeat: Heartbeat) -> bytes:
        name = heartbeat.instance_id, heartbeat.enrolment
        key = self._keys.get(name)
        if key is None:
            if len(self._keys) >= _KEYS_KEPT_MAX:
                self._keys.clear()
            key = derive_key(self._secret, instance_id=heartbeat.instance_id, enrolment=heartbeat.enrolment)
            self._keys[name] = key
        return key

    async def _commit(self, batch: Sequence[Heard]) -> Sequence[None]:
        await self._database.write(("see", self._sightings.rows(batch, to_millis(self._now()))))
        return [None] * len(batch)
