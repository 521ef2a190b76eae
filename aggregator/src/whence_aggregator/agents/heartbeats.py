"""Heartbeats update only `last_seen`. They are committed in groups, are not in the ledger, and use no public keys.

A heartbeat is accepted once: its counter must be above the last one accepted for its binding. The database decides
that, for all replicas. The counters cached in this process only save queries: a replayed heartbeat neither reaches the
database nor counts against its instance's rate limit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import timedelta

from whence_aggregator.agents.group_commit import GroupCommit
from whence_aggregator.agents.rows import counters, heard
from whence_aggregator.agents.sightings import Beat, HeartbeatPlace, Sightings
from whence_aggregator.callers.limits import Limit
from whence_aggregator.ports import Database, OutOfOrder, Overloaded, StorageUnavailable, Unauthenticated
from whence_aggregator.queries.agents import HEAR, HEARD_COUNTERS
from whence_aggregator.queries.query import instance_ids, together
from whence_aggregator.trace.listening import CLOCK_OFF_SECONDS, Listening
from whence_common.clock import Now, to_millis
from whence_common.counting import LEAP_MAX
from whence_common.heartbeat import Heartbeat, HeartbeatInvalid, derive_key, verify_mac

BATCH_MAX = 1_024
QUEUE_MAX = 8_192
CONFIRMED_AFTER = timedelta(seconds=30)
"""A clock is confirmed to be behind when heartbeats show it for this long: delayed heartbeats arrive together."""
_OFF_MILLIS = CLOCK_OFF_SECONDS * 1_000
_KEYS_KEPT_MAX = 100_000
_INSTANCES_KEPT_MAX = 100_000


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
        self._keys: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._last: OrderedDict[str, Beat] = OrderedDict()
        self._commits = GroupCommit[Beat, HeartbeatPlace | None](self._commit, batch_max=BATCH_MAX, queue_max=QUEUE_MAX)
        self.run = self._commits.run

    async def accept(self, content: bytes, mac: str) -> None:
        """Accept one heartbeat. Raises HeartbeatInvalid, Unauthenticated, OutOfOrder or Overloaded."""
        heartbeat = Heartbeat.from_wire(content)
        self._authenticate(heartbeat, content, mac)
        name, place = heartbeat.instance_id, (heartbeat.enrolment, heartbeat.counter)
        self._check_order(place, self._last.get(name))
        self._limit.take(name)
        try:
            if heartbeat.counter > LEAP_MAX:  # a lower counter cannot be a leap
                await self._check_leap(name, place)
            last = self._last.get(name)
            self._check_order(place, last)
            beat = self._arrived(heartbeat, place, last)
            self._remember(beat)
            taken = await self._commits.submit(beat)
        except (Overloaded, StorageUnavailable):
            self._listening.broken()
            raise
        if taken is not None:
            self._remember(Beat(name, taken))
            raise _behind(place, taken)

    def queues(self) -> Mapping[str, tuple[int, int]]:
        """Return the number of waiting heartbeats, and its maximum."""
        return {"heartbeats": self._commits.waiting}

    def _authenticate(self, heartbeat: Heartbeat, content: bytes, mac: str) -> None:
        """Check the MAC. The key is cached only if the MAC is valid, so that others cannot displace cached keys."""
        name = heartbeat.instance_id, heartbeat.enrolment
        known = self._keys.get(name)
        key = known or derive_key(self._secret, instance_id=heartbeat.instance_id, enrolment=heartbeat.enrolment)
        try:
            verify_mac(key, content, mac)
        except HeartbeatInvalid as exc:
            raise Unauthenticated(exc.code, exc.message, fix="enrol again") from exc
        if known is None:
            if len(self._keys) >= _KEYS_KEPT_MAX:
                self._keys.popitem(last=False)
            self._keys[name] = key

    def _check_order(self, place: HeartbeatPlace, last: Beat | None) -> None:
        if last is not None and place <= last.place:
            raise _behind(place, last.place)

    async def _check_leap(self, name: str, place: HeartbeatPlace) -> None:
        """Raise OutOfOrder for a counter too far above the last. Concurrent heartbeats only make the leap smaller."""
        stored = (await self._stored([name])).get(name, (0, 0))
        if place <= stored:
            self._remember(Beat(name, stored))
            raise _behind(place, stored)
        last = stored[1] if stored[0] == place[0] else 0
        if place[1] - last > LEAP_MAX:
            raise OutOfOrder(
                "heartbeat-ahead",
                f"the counter {place[1]} is more than {LEAP_MAX} above the last one accepted, {last}",
                fix="continue with the counter after last_taken", last_taken=last,
            )  # fmt: skip

    def _arrived(self, heartbeat: Heartbeat, place: HeartbeatPlace, last: Beat | None) -> Beat:
        """Return the heartbeat with the clock skew that it, and those before it, show."""
        now = self._now()
        skew_millis = round((heartbeat.sent_at - now).total_seconds() * 1000)
        if skew_millis >= -_OFF_MILLIS:
            return Beat(heartbeat.instance_id, place, skew_millis)
        since = last.behind_since if last is not None and last.place[0] == place[0] else None
        since = now if since is None else since
        return Beat(heartbeat.instance_id, place, skew_millis, since, now - since >= CONFIRMED_AFTER)

    def _remember(self, beat: Beat) -> None:
        """Cache a heartbeat that is newer than the cached one; it may not be committed yet."""
        known = self._last.get(beat.instance_id)
        if known is None and len(self._last) >= _INSTANCES_KEPT_MAX:
            self._last.popitem(last=False)
        if known is None or beat.place > known.place:
            self._last[beat.instance_id] = beat

    async def _commit(self, batch: Sequence[Beat]) -> Sequence[HeartbeatPlace | None]:
        """Write the highest counter of each instance, if it is above the stored one; return the stored one of others.

        The heartbeats of a batch are concurrent, so the highest may be ordered first: the others are then too late.
        """
        highest: dict[str, Beat] = {}
        for beat in batch:
            other = highest.get(beat.instance_id)
            if other is None or beat.place > other.place:
                highest[beat.instance_id] = beat
        rows = self._sightings.beats(highest.values(), to_millis(self._now()))
        written = heard(await self._database.write_returning(HEAR, rows))
        taken = [beat.instance_id in written and highest[beat.instance_id] is beat for beat in batch]
        if all(taken):
            return [None] * len(batch)
        refused = sorted({beat.instance_id for beat, done in zip(batch, taken, strict=True) if not done})
        stored = await self._stored(refused)
        return [None if done else stored[beat.instance_id] for beat, done in zip(batch, taken, strict=True)]

    async def _stored(self, names: Sequence[str]) -> dict[str, HeartbeatPlace]:
        asked = HEARD_COUNTERS.bind(instance_ids(list(names)))
        (rows,) = await self._database.fetch_all(together(asked), brief=True)
        return counters(rows)


def _behind(place: HeartbeatPlace, last: HeartbeatPlace) -> OutOfOrder:
    if place[0] < last[0]:
        return OutOfOrder(
            "enrolment-superseded", "a newer key was bound to this instance, and has sent heartbeats",
            fix="if the machine still runs, find out who bound that key; remove the agent's key, so that it makes one",
            last_taken=None,
        )  # fmt: skip
    return OutOfOrder(
        "heartbeat-behind", f"the counter {place[1]} is not above the last one accepted, {last[1]}",
        fix="continue with the counter after last_taken", last_taken=last[1],
    )  # fmt: skip
