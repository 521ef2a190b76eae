"""Counts in the database: entries, instances, lives, verdicts and waiting tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.compliance.rows import Tallied, tallied
from whence_aggregator.ledger.rows import last_index
from whence_aggregator.ports import Database
from whence_aggregator.queries.compliance import TALLIES
from whence_aggregator.queries.ledger import LAST_INDEX
from whence_aggregator.queries.query import together
from whence_aggregator.queries.work import COUNT_TASKS, OLDEST_DUE
from whence_aggregator.work.rows import count_by_kind, next_due


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """`tasks` is the number of waiting tasks by kind; `oldest_due` is when the next is due, None when none waits."""

    entries: int
    tallied: Tallied
    tasks: Mapping[str, int]
    oldest_due: str | None

    @property
    def tasks_shown(self) -> Sequence[dict[str, object]]:
        return [{"kind": kind, "n": n} for kind, n in self.tasks.items()]


async def count(database: Database) -> Counted:
    """Return all counts, as of one moment. Raises StorageUnavailable."""
    size, tallies, tasks, (due,) = await database.fetch_all(
        together(LAST_INDEX.bind({}), TALLIES.bind({}), COUNT_TASKS.bind({}), OLDEST_DUE.bind({}))
    )
    return Counted(
        entries=last_index(size) + 1,
        tallied=tallied(tallies),
        tasks=count_by_kind(tasks),
        oldest_due=next_due(due),
    )
