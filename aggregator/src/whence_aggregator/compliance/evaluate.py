"""Evaluation: every rule for instances in pages; changed verdicts become entries of the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from whence_aggregator.compliance.gathering import InstanceEvidence, evidence_of
from whence_aggregator.compliance.moving import JudgedVerdict, StandingSubject, judge_all
from whence_aggregator.compliance.open_questions import open_questions, read_again
from whence_aggregator.compliance.own.rules import broken_rules
from whence_aggregator.compliance.recording import JudgedNow, Recording
from whence_aggregator.compliance.resting import entries_of, unlogged_of
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
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.facts import RANGE_KIND, Facts
from whence_aggregator.trace.judged_facts import judged_facts
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.work.questions import ask_ranges
from whence_common.clock import Now, to_instant
from whence_common.errors import WhenceError
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

PAGE_INSTANCES = 16
"""A small page, so that what is new is visible soon and other requests do not wait long."""
BACKLOG_INSTANCES = 64
"""A page while more than one page waits: each has some thirty round trips to the database, whatever its size."""
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
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._tracer = tracer
        self._now = now
        self._listening = listening
        self._rules = rules
        self._subjects = subjects
        self._recording = recording
        self._sweeping = Sweeping(database=database, now=now, listening=listening, rules=rules)
        self._after: dict[str, int] = {}
        """By query: the number of the last instance of the last page."""
        self._page = PAGE_INSTANCES
        self._turns = 0
        self._later: dict[str, tuple[datetime, int]] = {}
        """Instances whose evaluation failed: the time of the next attempt, and the number of attempts."""

    async def sweep(self) -> int:
        """Mark what is to be judged again because of time or heartbeats; return how many instances."""
        await self._subjects.discover()
        return await self._sweeping.sweep()

    async def work(self, *, few: bool = False) -> int:
        """Judge the next page of instances with new evidence, or of other subjects; return how many were judged.

        Those that a fact marked are first, in turn with those that made statements, of which there may always be more.
        `few`: judge a small page, because others need the processor.
        """
        limit = PAGE_INSTANCES if few else self._page
        self._turns += 1
        asked = (UNJUDGED_MARKED, UNJUDGED) if self._turns % 2 else (UNJUDGED, UNJUDGED_MARKED)
        turn = SUBJECTS_TURN if limit < BACKLOG_INSTANCES else SUBJECTS_TURN_OF_BACKLOG
        if self._turns % turn == 0 and (judged := await self._subjects.work()):
            return judged
        total, done = 0, set[str]()
        for query in asked:
            found = await self._next(query, limit)
            self._page = BACKLOG_INSTANCES if len(found) == limit else PAGE_INSTANCES
            due = [one for one in found if self._is_due(one.instance_id) and one.instance_id not in done]
            done |= {one.instance_id for one in due}
            total += await self._judge(due) if due else 0
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

    async def _judge(self, found: Sequence[UnjudgedInstance]) -> int:
        """Judge instances, and return how many were judged. A failure of one does not affect the others.

        A failed instance is tried again after increasing pauses. Raises StorageUnavailable.
        """
        try:
            await self._evaluate(found)
        except StorageUnavailable:
            raise
        except Exception as exc:
            if len(found) > 1:
                return sum([await self._judge([one]) for one in found])
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
        now = self._now()
        gathered = await self._tracer.facts([one.instance_id for one in found])
        judged, evidence = [], []
        for facts in gathered.values():
            one = await self._judged(facts, now)
            judged.append(one)
            evidence.append((facts, one.evidence))
            await asyncio.sleep(0)
        marks = await self._subjects.marks(evidence)
        numbers: list[SetJudgedParameters] = [
            {"number": one.number, "judged": one.ledger_index, "before": one.judged} for one in found
        ]
        await self._recording.prepare()
        async with self._ledger.writing() as writing:
            stood = await _stood(writing.transaction, list(gathered))
            await self._recording.append(writing, judged, stood)
            await writing.transaction.execute(SET_JUDGED.bind(numbers))
            writing.writes.append(marks)
            at = to_instant(now)
            questions = open_questions(gathered.values(), at)
            writing.writes.append(ADD_TASK_UNLESS_KNOWN.bind([one for one in questions if one["kind"] != RANGE_KIND]))
            writing.writes.append(ask_ranges([one for one in questions if one["kind"] == RANGE_KIND]))
            writing.writes.append(ADD_TASK.bind(read_again(gathered.values(), at)))

    async def _judged(self, facts: Facts, now: datetime) -> JudgedNow:
        facts = judged_facts(facts)
        lineage = derive(facts, moment=NOW)
        evidence = evidence_of(
            InstanceEvidence(
                facts=facts,
                lineage=lineage,
                now=now,
                silent_after_seconds=self._listening.silent_after.total_seconds(),
                listening_since=self._listening.since,
                settings=self._rules.settings,
            )
        )
        answers = await self._rules.own_answers(evidence)
        verdicts: Mapping[str, JudgedVerdict] = judge_all(evidence, self._rules, answers)
        return JudgedNow(
            evidence=evidence,
            verdicts=verdicts,
            unlogged=partial(unlogged_of, facts, evidence),
            entries=partial(entries_of, facts, lineage),
            instance=evidence.id,
            broken=broken_rules(answers),
        )


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
