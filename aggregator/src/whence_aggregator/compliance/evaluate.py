"""Evaluation: every rule for instances in pages; changed verdicts become entries of the log."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from whence_aggregator.compliance.judging import JudgedPage, JudgesElsewhere, PageJudge
from whence_aggregator.compliance.moving import StandingSubject
from whence_aggregator.compliance.recording import Recording
from whence_aggregator.compliance.rows import StandingVerdict, UnjudgedInstance, UnjudgedQuery, standing, unjudged
from whence_aggregator.compliance.rows import judged as judged_instance
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.subjects import SubjectEvaluator
from whence_aggregator.compliance.sweeping import Sweeping
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database, StorageUnavailable, Transaction
from whence_aggregator.projections.rows import counted_instances
from whence_aggregator.queries.agents import INSTANCES_NAMED
from whence_aggregator.queries.compliance import (
    SET_JUDGED,
    UNJUDGED,
    UNJUDGED_MARKED,
    VERDICTS_OF,
    SetJudgedParameters,
)
from whence_aggregator.queries.query import instance_ids, together
from whence_aggregator.queries.reports import COUNTED_INSTANCES
from whence_aggregator.queries.work import ADD_TASK, ADD_TASK_UNLESS_KNOWN
from whence_aggregator.trace.facts import RANGE_KIND
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.work.questions import ask_ranges
from whence_common.clock import Now
from whence_common.errors import WhenceError
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

PAGE_INSTANCES = 16
"""A small page, so that what is new is visible soon and other requests do not wait long."""
BACKLOG_INSTANCES = 64
"""A page while more than one page waits: each has some thirty round trips to the database, whatever its size."""
PAGES_ELSEWHERE, AHEAD_PAGES = 8, 3
"""Pages of a backlog that are judged in another process in one turn; and how many of them it is asked for at once."""
SUBJECTS_TURN, SUBJECTS_TURN_OF_BACKLOG = 2, 16
"""One in so many turns begins with other subjects. In a backlog, each page of instances marks the same ones again, and
a version is judged by every image that it runs as: once for several pages is enough."""
_LATER_SECONDS, _LATER_SECONDS_MAX = 15.0, 3600.0
_LATER_MAX = 10_000


class Evaluator:
    """Keeps verdicts current with the evidence."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        tracer: Tracer,
        now: Now,
        listening: Listening,
        rules: RulesInForce,
        subjects: SubjectEvaluator,
        recording: Recording,
        elsewhere: JudgesElsewhere | None = None,
    ) -> None:
        """`elsewhere`: another process that judges a backlog; None: everything is judged here."""
        self._database = database
        self._ledger = ledger
        self._now = now
        self._judging = PageJudge(tracer=tracer, rules=rules, listening=listening)
        self._elsewhere = elsewhere
        self._subjects = subjects
        self._recording = recording
        self._sweeping = Sweeping(database=database, now=now, listening=listening, rules=rules)
        self._after: dict[str, int] = {}
        """By query: the number of the last instance of the last page."""
        self._page = PAGE_INSTANCES
        self._backlog = BACKLOG_INSTANCES * (PAGES_ELSEWHERE if elsewhere is not None else 1)
        self._turns = 0
        self._many_marked = False
        """Whether the last turn judged a whole page of instances that facts marked."""
        self._later: dict[str, tuple[datetime, int]] = {}
        """Instances whose evaluation failed: the time of the next attempt, and the number of attempts."""

    async def sweep(self) -> int:
        """Mark what is to be judged again because of time or heartbeats; return how many instances."""
        if self._elsewhere is not None:
            await self._elsewhere.rest()
        await self._subjects.discover()
        return await self._sweeping.sweep()

    async def close(self) -> None:
        """End the process that judges backlogs."""
        if self._elsewhere is not None:
            await self._elsewhere.close()

    async def work_on_marked(self) -> int:
        """Judge the next small page of instances that a fact marked, and nothing else; return how many were judged."""
        found = await self._next(UNJUDGED_MARKED, PAGE_INSTANCES)
        due = [one for one in found if self._is_due(one.instance_id)]
        return await self._judge(due, alone=False) if due else 0

    async def work(self, *, few: bool = False, alone: bool = True) -> int:
        """Judge the next page of instances with new evidence, or of other subjects; return how many were judged.

        Those that a fact marked are first in each turn, unless they filled the page of the last one, so that all
        take turns: there may always be more of each.
        `few`: judge a small page, because others need the processor. `alone`: they hardly do, and a backlog may use
        another process too.
        """
        limit = PAGE_INSTANCES if few else self._page if alone else min(self._page, BACKLOG_INSTANCES)
        self._turns += 1
        turn = SUBJECTS_TURN if limit < BACKLOG_INSTANCES else SUBJECTS_TURN_OF_BACKLOG * BACKLOG_INSTANCES // limit
        asked = (UNJUDGED, UNJUDGED_MARKED) if self._many_marked else (UNJUDGED_MARKED, UNJUDGED)
        self._many_marked = False
        total, done = 0, set[str]()
        for query in asked:
            if query is UNJUDGED and self._turns % turn == 0 and (judged := await self._subjects.work()):
                return total + judged
            found = await self._next(query, limit)
            self._page = self._backlog if len(found) == limit else PAGE_INSTANCES
            self._many_marked |= query is asked[0] is UNJUDGED_MARKED and len(found) == limit
            due = [one for one in found if self._is_due(one.instance_id) and one.instance_id not in done]
            done |= {one.instance_id for one in due}
            total += await self._judge(due, alone=alone) if due else 0
            if total >= PAGE_INSTANCES:
                break
        return total or await self._subjects.work()

    async def _next(self, query: UnjudgedQuery, limit: int) -> Sequence[UnjudgedInstance]:
        """Return the next page of instances to judge, and begin anew after the last one."""
        after = self._after.get(query.name, 0)
        rows = await self._database.fetch(query.bind({"after": after, "limit": limit}))
        if not rows and after:
            rows = await self._database.fetch(query.bind({"after": 0, "limit": limit}))
        found = list(map(unjudged, rows))
        self._after[query.name] = found[-1].number if found else 0
        return found

    async def _judge(self, found: Sequence[UnjudgedInstance], *, alone: bool) -> int:
        """Judge instances, and return how many were judged. A failure of one does not affect the others.

        A failed instance is tried again after increasing pauses. Raises StorageUnavailable.
        """
        if self._elsewhere is not None and alone and len(found) > PAGE_INSTANCES:
            return await self._judge_elsewhere(self._elsewhere, found)
        return await self._judge_here(found)

    async def _judge_elsewhere(self, elsewhere: JudgesElsewhere, found: Sequence[UnjudgedInstance]) -> int:
        """Judge a backlog in another process while what it judged is recorded here; or here, where that fails."""
        now, total = self._now(), 0
        parts = [found[start : start + BACKLOG_INSTANCES] for start in range(0, len(found), BACKLOG_INSTANCES)]
        ahead = deque[tuple[Sequence[UnjudgedInstance], asyncio.Task[JudgedPage | None]]]()
        try:
            while parts or ahead:
                while parts and len(ahead) < AHEAD_PAGES:
                    part = parts.pop(0)
                    asked = elsewhere.page([one.instance_id for one in part], now)
                    ahead.append((part, asyncio.create_task(asked)))
                part, task = ahead[0]
                page = await task
                ahead.popleft()
                whole = page is not None and len(page.judged) == len(part)
                total += await self._judge_here(part, page if whole else None)
        finally:
            for _, task in ahead:
                task.cancel()
            await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)
        return total

    async def _judge_here(self, found: Sequence[UnjudgedInstance], page: JudgedPage | None = None) -> int:
        """Record a judged page; judge it first where there is none."""
        try:
            await (self._record(found, page) if page is not None else self._evaluate(found))
        except StorageUnavailable:
            raise
        except Exception as exc:
            if len(found) > 1:
                return sum([await self._judge_here([one]) for one in found])
            name = found[0].instance_id
            again = self._put_off(name)
            if isinstance(exc, WhenceError):
                context = fields(instance=name, code=exc.code, message=exc.message, fix=exc.fix, seconds=again)
                log.error("the rules cannot be evaluated for an instance", extra=context)
            else:
                context = fields(instance=name, seconds=again)
                log.exception("the rules cannot be evaluated for an instance: a bug", extra=context)
            return 0
        for one in found:
            self._later.pop(one.instance_id, None)
        return len(found)

    def _put_off(self, name: str) -> float:
        """Postpone an instance, twice as long each time; return for how many seconds."""
        if len(self._later) >= _LATER_MAX:
            self._later.clear()
        times = self._later[name][1] + 1 if name in self._later else 1
        seconds = min(_LATER_SECONDS * 2.0 ** min(times - 1, 20), _LATER_SECONDS_MAX)
        self._later[name] = self._now() + timedelta(seconds=seconds), times
        return seconds

    def _is_due(self, name: str) -> bool:
        waits = self._later.get(name)
        return waits is None or waits[0] <= self._now()

    async def _evaluate(self, found: Sequence[UnjudgedInstance]) -> None:
        await self._record(found, await self._judging.page([one.instance_id for one in found], self._now()))

    async def _record(self, found: Sequence[UnjudgedInstance], page: JudgedPage) -> None:
        marks = await self._subjects.marks(page.shown)
        numbers: list[SetJudgedParameters] = [
            {"number": one.number, "judged": one.ledger_index, "before": one.judged} for one in found
        ]
        await self._recording.prepare()
        async with self._ledger.writing() as writing:
            stood = await _stood(writing.transaction, [one.evidence.id for one in page.judged])
            await self._recording.append(writing, page.judged, stood)
            await writing.transaction.execute(SET_JUDGED.bind(numbers))
            writing.writes.append(marks)
            questions = page.open
            writing.writes.append(ADD_TASK_UNLESS_KNOWN.bind([one for one in questions if one["kind"] != RANGE_KIND]))
            writing.writes.append(ask_ranges([one for one in questions if one["kind"] == RANGE_KIND]))
            writing.writes.append(ADD_TASK.bind(page.again))


async def _stood(transaction: Transaction, names: Sequence[str]) -> dict[str, StandingSubject]:
    """Return the instances that exist, with their rules and verdicts, by id."""
    wanted = instance_ids(sorted(names))
    instances, rows, applications = await transaction.fetch_all(
        together(INSTANCES_NAMED.bind(wanted), VERDICTS_OF.bind(wanted), COUNTED_INSTANCES.bind(wanted))
    )
    counted = counted_instances(applications)
    known: dict[str, dict[str, StandingVerdict]] = {}
    for (name, rule), one in standing(rows).items():
        known.setdefault(name, {})[rule] = one
    found: dict[str, StandingSubject] = {}
    for instance in map(judged_instance, instances):
        found[instance.instance_id] = StandingSubject(
            account_id=instance.account_id,
            rules=instance.rules,
            verdicts=known.get(instance.instance_id, {}),
            of_other_application=counted[instance.instance_id].moved,
        )
    return found
