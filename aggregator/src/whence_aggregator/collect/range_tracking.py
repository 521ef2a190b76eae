"""Has the reviews and tickets of a range's commits read: of the newest ones, once, after everything else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.collect.commits import range_of
from whence_aggregator.collect.rows import standing_fact
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import FACTS_NOW
from whence_aggregator.queries.query import EVERY_ENTRY, array
from whence_aggregator.queries.trace import APPLICATIONS_AT, APPLICATIONS_OF_COMMITS
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN, AddTaskParameters
from whence_aggregator.trace.commit_tracked import commit_facts, tracked_of, unanswered, with_answers
from whence_aggregator.trace.facts import RANGE_KIND, Registered
from whence_aggregator.trace.rows import application_ids, applications
from whence_aggregator.trackers.places import KnownTrackers
from whence_aggregator.work.questions import RANGES_LANE, question
from whence_aggregator.work.task import Again, Task
from whence_common.clock import Now, parse_instant, to_instant

APPLICATIONS_MAX = 5
"""The applications, built from a commit at an end of the range, by whose patterns tickets are found."""
SECONDS_MIN, SECONDS_MAX, WAITED_SECONDS_MAX = 60.0, 3_600.0, 14 * 86_400.0
"""How soon, and for how long, tickets are looked for in reviews that have not been read yet."""


class RangeTracking:
    """Does the tasks about ranges: the subject is that of the range."""

    def __init__(self, *, database: Database, trackers: KnownTrackers, now: Now) -> None:
        self._database = database
        self._trackers = trackers
        self._now = now

    async def do(self, task: Task) -> Again | None:
        if not self._trackers.some:
            return None
        place, base, head = range_of(task.subject)
        rows = await self._database.fetch(FACTS_NOW.bind({"kind": RANGE_KIND, "subjects": array([task.subject])}))
        if not rows:
            return None
        fact = standing_fact(rows[0])
        values = await self._commits(str(place), tracked_names(fact.value))
        wanted: dict[tuple[str, str], None] = {}
        waits = False
        for application in await self._applications([base, head]) or [None]:
            commits = [commit_facts(str(place), one, application, self._trackers) for one in values]
            asked = await with_answers(self._database, commits)
            wanted |= dict.fromkeys(unanswered(asked))
            waits = waits or any(one.asks_review and one.review.ledger_index is None for one in asked)
        await self._ask(list(wanted))
        waited = (self._now() - parse_instant(fact.observed_at)).total_seconds()
        if not waits or waited > WAITED_SECONDS_MAX:
            return None
        return Again(seconds=min(max(waited, SECONDS_MIN), SECONDS_MAX), reason="awaits the reviews of its commits")

    async def _ask(self, wanted: Sequence[tuple[str, str]]) -> None:
        now = to_instant(self._now())
        asked: list[AddTaskParameters] = [question(kind, one, due_at=now, lane=RANGES_LANE) for kind, one in wanted]
        await self._database.write(ADD_TASK_UNLESS_KNOWN.bind(asked))

    async def _commits(self, place: str, names: Sequence[str]) -> list[Mapping[str, Any]]:
        """Return the values of commits in the order of the names; of one that was not read, its id alone."""
        subjects = array([f"{place}@{one}" for one in names])
        rows = await self._database.fetch(FACTS_NOW.bind({"kind": "commit", "subjects": subjects}))
        known = {one.subject: one.value for one in map(standing_fact, rows)}
        return [{"commit": one, **known.get(f"{place}@{one}", {})} for one in names]

    async def _applications(self, ends: Sequence[str]) -> list[Registered | None]:
        """Return the applications that run, or ran, what was built from an end of the range."""
        rows = await self._database.fetch(
            APPLICATIONS_OF_COMMITS.bind({"commits": array(list(ends)), "limit": APPLICATIONS_MAX})
        )
        names = array(application_ids(rows))
        found = await self._database.fetch(APPLICATIONS_AT.bind({"application_ids": names, "past": EVERY_ENTRY}))
        return list(applications(found).values())


def tracked_names(value: Mapping[str, Any]) -> list[str]:
    """Return the commits of a range whose reviews and tickets are asked for."""
    ahead, behind = ((value.get(side) or {}).get("commits", ()) for side in ("ahead", "behind"))
    return tracked_of(ahead, behind)
