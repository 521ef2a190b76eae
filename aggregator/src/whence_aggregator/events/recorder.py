"""Recording: events become entries of the log exactly once, however often they are delivered.

An event is known by account and event id, in the same transaction that appends it; instances are marked for judging and
their region for a listing soon, in that transaction too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from whence_aggregator.events.cloud_record import EC2, CloudRecord
from whence_aggregator.events.role_session import RoleSession
from whence_aggregator.events.rows import event_ids
from whence_aggregator.events.session_keeping import keep, record_wanted
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.projections.cloud_events import CLOUD_EVENT, cloud_event_writes
from whence_aggregator.queries.events import CLOUD_EVENTS_KNOWN, LOOK_SOON, SESSIONS_KNOWN
from whence_aggregator.queries.query import array, together
from whence_aggregator.work.questions import INVENTORY_KIND
from whence_common.clock import Now, to_instant
from whence_common.ledger_entry import event
from whence_common.storable import cleaned

RECORDED_AT_ONCE_MAX = 100
"""In one transaction: the log's other writers wait meanwhile."""
KEPT_AT_ONCE_MAX = 500
"""Sessions in one transaction, most of which are not recorded."""
LOOK_SECONDS = 15.0
"""How soon after an event its region is listed: the events of a burst share one listing."""


class EventRecorder:
    """Records events of CloudTrail. `on_work` is called when instances wait to be judged or regions to be listed."""

    def __init__(self, *, ledger: Ledger, now: Now, on_work: Callable[[], None]) -> None:
        self._ledger = ledger
        self._now = now
        self._on_work = on_work

    async def record(self, records: Sequence[CloudRecord], *, source: Mapping[str, str]) -> int:
        """Record the events of one account that are new; return their number. Raises StorageUnavailable.

        `source` is where they were read: a queue, or an object with its digest.
        """
        count = 0
        for start in range(0, len(records), RECORDED_AT_ONCE_MAX):
            count += await self._record(records[start : start + RECORDED_AT_ONCE_MAX], source)
        if count:
            self._on_work()
        return count

    async def keep_sessions(self, sessions: Sequence[RoleSession], *, source: Mapping[str, str]) -> None:
        """Keep sessions that are not recorded, and record those that events refer to. Raises StorageUnavailable."""
        by_account = defaultdict[str, dict[str, RoleSession]](dict)
        for one in sessions:
            by_account[one.account_id].setdefault(one.event_id, one)
        for account_id, by_id in by_account.items():
            ids = sorted(by_id)
            for start in range(0, len(ids), KEPT_AT_ONCE_MAX):
                some = ids[start : start + KEPT_AT_ONCE_MAX]
                asked = SESSIONS_KNOWN.bind({"account_id": account_id, "event_ids": array(some)})
                async with self._ledger.writing(together(asked)) as writing:
                    known = event_ids(writing.found[0])
                    await keep(writing, [by_id[one] for one in some if one not in known], source, self._now())

    async def _record(self, records: Sequence[CloudRecord], source: Mapping[str, str]) -> int:
        (account_id,) = {one.account_id for one in records}
        asked = CLOUD_EVENTS_KNOWN.bind(
            {"account_id": account_id, "event_ids": array([one.event_id for one in records])}
        )
        async with self._ledger.writing(together(asked)) as writing:
            known = event_ids(writing.found[0])
            fresh = list({one.event_id: one for one in reversed(records) if one.event_id not in known}.values())[::-1]
            if not fresh:
                return 0
            now = self._now()
            stated = [_entry(one, source, now) for one in fresh]
            places = await writing.append([NewEntry(kind=CLOUD_EVENT, content=event(CLOUD_EVENT, e)) for e in stated])
            indexed = [(index, one) for (index, _), one in zip(places, stated, strict=True)]
            writing.writes += cloud_event_writes(indexed)
            soon = to_instant(now + timedelta(seconds=LOOK_SECONDS))
            regions = sorted({one.region for one in fresh if one.source == EC2})
            writing.writes.append(
                LOOK_SOON.bind(
                    [{"kind": INVENTORY_KIND, "subject": f"{account_id}/{region}", "soon": soon} for region in regions]
                )
            )
            await record_wanted(writing, {one.doer.access_key for one in fresh if one.doer.access_key})
        return len(fresh)


def _entry(one: CloudRecord, source: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """Return the members of an event's entry."""
    stated: dict[str, Any] = cleaned(
        {
            **msgspec.structs.asdict(one),
            "doer": msgspec.to_builtins(one.doer),
            "observed_at": to_instant(now),
            "read_from": dict(source),
        }
    )
    return stated
