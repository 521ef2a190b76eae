"""Metrics from the database: entries, instances, verdicts and waiting work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from whence_aggregator.compliance.counts import count
from whence_aggregator.ports import Database
from whence_common.clock import Now
from whence_common.open_metrics import Family, Sample, gauge

_ACCOUNT = frozenset({"account"})


class StoredCounts:
    """Counts rows of a database. Raises StorageUnavailable."""

    def __init__(self, database: Database, *, now: Now) -> None:
        self._database = database
        self._now = now

    async def families(self) -> Sequence[Family]:
        counted = await count(self._database)
        instances, lives, verdicts = counted.tallied.instances, counted.tallied.lives, counted.tallied.verdicts
        return (
            gauge("whence_ledger_entries", "Entries in the ledger.", counted.entries),
            Family(
                name="whence_instances", kind="gauge", help="Instances that have made a statement, by account.",
                samples=[Sample(n, {"account": account}) for account, n in sorted(instances.items())], hidden=_ACCOUNT,
            ),
            Family(
                name="whence_instances_life", kind="gauge", help="Instances by account and life.",
                samples=[
                    Sample(n, {"account": account, "life": life}) for (account, life), n in sorted(lives.items())
                ],
                hidden=_ACCOUNT,
            ),
            Family(
                name="whence_verdicts", kind="gauge", help="Standing verdicts by rule.",
                samples=[
                    Sample(n, {"rule": rule, "verdict": verdict}) for (rule, verdict), n in sorted(verdicts.items())
                ],
            ),
            Family(
                name="whence_tasks_waiting", kind="gauge", help="Waiting work, by kind.",
                samples=[Sample(n, {"kind": kind}) for kind, n in counted.tasks.items()],
            ),
            gauge("whence_tasks_late_seconds", "How long the next task has been due.", self._late(counted.oldest_due)),
        )  # fmt: skip

    def _late(self, due: str | None) -> float:
        return max(0.0, (self._now() - datetime.fromisoformat(due)).total_seconds()) if due is not None else 0.0
