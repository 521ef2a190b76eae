"""What the database counts, for /metrics: entries, instances, verdicts and work that waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from whence_aggregator.http.queries import counts
from whence_aggregator.ports import Database
from whence_aggregator.queries.compliance import TALLIES
from whence_aggregator.queries.ledger import LAST_INDEX
from whence_aggregator.queries.query import together
from whence_aggregator.queries.work import COUNT_TASKS, OLDEST_DUE
from whence_common.clock import Now
from whence_common.open_metrics import Family, Sample, gauge

_ACCOUNT = frozenset({"account"})


class StoredCounts:
    """Asks a database for what it counts. Raises StorageUnavailable."""

    def __init__(self, database: Database, *, now: Now) -> None:
        self._database = database
        self._now = now

    async def families(self) -> Sequence[Family]:
        size, tallies, tasks, due = await self._database.fetch_all(
            together(LAST_INDEX.bind({}), TALLIES.bind({}), COUNT_TASKS.bind({}), OLDEST_DUE.bind({}))
        )
        instances, lives, verdicts, _ = counts(tallies)
        return (
            gauge("whence_ledger_entries", "Entries in the ledger.", size[0]["last_index"] + 1),
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
                name="whence_tasks_waiting", kind="gauge", help="Work that waits, by kind.",
                samples=[Sample(row["n"], {"kind": row["kind"]}) for row in tasks],
            ),
            gauge("whence_tasks_late_seconds", "How long the next task has been due.", self._late(due[0]["due_at"])),
        )  # fmt: skip

    def _late(self, due: str | None) -> float:
        return max(0.0, (self._now() - datetime.fromisoformat(due)).total_seconds()) if due is not None else 0.0
