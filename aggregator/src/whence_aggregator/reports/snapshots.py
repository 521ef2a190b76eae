"""Daily snapshots of the counts of verdicts, as entries of the log: they state what changed since the one before."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Database, StorageUnavailable
from whence_aggregator.projections.summaries import SUMMARY, summary_writes
from whence_aggregator.queries.query import together
from whence_aggregator.queries.reports import EVERY_COUNT, EVERY_NEWEST_COUNT, NEWEST_SUMMARY_DAY
from whence_aggregator.reports.counted import CountKey, Counts, changed
from whence_aggregator.reports.rows import counts_by_key, summary_days
from whence_common.clock import Now, to_instant
from whence_common.ledger_entry import event
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

LOOK_SECONDS = 300.0
"""How often it is looked whether a day has begun."""
ROWS_OF_ENTRY_MAX = 2_000
LAST_DAY = "9999-12-31"


class Snapshots:
    """Takes a snapshot of the counts once a day (UTC); several replicas may run it."""

    def __init__(self, *, database: Database, ledger: Ledger, now: Now) -> None:
        self._database = database
        self._ledger = ledger
        self._now = now

    async def run(self) -> None:
        """Take snapshots until cancelled."""
        while True:
            try:
                await self.take()
            except StorageUnavailable as exc:
                log.error("storage unavailable", extra=fields(code=exc.code, message=exc.message))
            await pause(LOOK_SECONDS)

    async def take(self) -> bool:
        """Take the snapshot of this day; return False if there is one, and for a log without verdicts."""
        at = to_instant(self._now())
        day = at[:10]
        last = summary_days(await self._database.fetch(NEWEST_SUMMARY_DAY.bind({"day": LAST_DAY})))
        if last and last[0].day >= day:
            return False
        async with self._ledger.writing() as writing:
            newest, now, before = await writing.transaction.fetch_all(
                together(NEWEST_SUMMARY_DAY.bind({"day": LAST_DAY}), EVERY_COUNT.bind({}), EVERY_NEWEST_COUNT.bind({}))
            )
            taken, counts = summary_days(newest), counts_by_key(now)
            if (taken and taken[0].day >= day) or (not taken and not counts):
                return False
            stated = _stated(changed(counts, counts_by_key(before)), day, at)
            new = [NewEntry(kind=SUMMARY, content=event(SUMMARY, one)) for one in stated]
            indexes = [index for index, _ in await writing.append(new)]
            for index, one in zip(indexes, stated, strict=True):
                writing.writes.extend(summary_writes(index, one))
        return True


def _stated(counts: Mapping[CountKey, Counts], day: str, at: str) -> Sequence[dict[str, object]]:
    """Return the entries: by account, and the last one, which states that the day is complete."""
    by_account: dict[str, list[list[object]]] = {}
    for key, one in sorted(counts.items()):
        by_account.setdefault(key.account_id, []).append([key.application_id, key.kind, key.rule, *one])
    found: list[dict[str, object]] = [
        {"day": day, "at": at, "account_id": account, "complete": False, "counts": rows[n : n + ROWS_OF_ENTRY_MAX]}
        for account, rows in by_account.items()
        for n in range(0, len(rows), ROWS_OF_ENTRY_MAX)
    ]
    return [*found, {"day": day, "at": at, "account_id": "", "complete": True, "counts": []}]
