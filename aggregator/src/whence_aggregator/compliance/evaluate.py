"""Evaluation: every rule for instances in pages; changed verdicts become entries of the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from whence_aggregator.compliance.open_questions import open_questions, read_again
from whence_aggregator.compliance.presence import ON_THE_WAY
from whence_aggregator.compliance.rows import (
    StandingVerdict,
    Swept,
    UnjudgedInstance,
    fallen_silent,
    rule_sets,
    standing,
    swept,
    unjudged,
)
from whence_aggregator.compliance.rows import judged as judged_instance
from whence_aggregator.compliance.rule import InstanceEvidence, Verdict
from whence_aggregator.compliance.rules.agent import AGENT_SILENT
from whence_aggregator.compliance.rules.catalogue import RULE_VERSIONS, RULES, judge
from whence_aggregator.compliance.rules.clock import BY_HEARTBEATS, CLOCK_OFF
from whence_aggregator.compliance.rules.instance import INSTANCE_UNLISTED
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Database, StorageUnavailable, Transaction
from whence_aggregator.projections.events import INSTANCE, project_verdicts
from whence_aggregator.queries.agents import INSTANCES_NAMED
from whence_aggregator.queries.compliance import (
    CLOCKS_GONE_WRONG,
    CLOCKS_SET_RIGHT,
    JUDGED_BY_OTHERS,
    RULE_SETS_ALL,
    SET_JUDGED,
    SILENT_SINCE,
    SPEAKING_AGAIN,
    SPEAKING_THOUGH_ENDED,
    UNJUDGE,
    UNJUDGED,
    VERDICTS_OF,
    SetJudgedParameters,
    UnjudgedParameters,
)
from whence_aggregator.queries.query import BoundQuery, array, each, instance_ids, together
from whence_aggregator.queries.work import ADD_TASK, ADD_TASK_UNLESS_KNOWN
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.facts import RANGE_KIND
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.work.questions import ask_ranges
from whence_common.clock import Now, to_instant, to_millis
from whence_common.errors import WhenceError
from whence_common.ledger_entry import event
from whence_common.runtime.logs import fields
from whence_common.storable import cleaned

log = logging.getLogger(__name__)

PAGE_INSTANCES = 16
"""A small page, so that other requests do not wait long."""
SWEEP_INSTANCES_MAX = 1_000
ENDED_SWEEPS = 20
"""One in this many sweeps also reads ended instances: an old log has many, and they rarely speak."""
_LATER_SECONDS, _LATER_SECONDS_MAX = 15.0, 3600.0
_LATER_MAX = 10_000
_REASON_CHARACTERS_MAX = 1_000


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
    ) -> None:
        self._database = database
        self._ledger = ledger
        self._tracer = tracer
        self._now = now
        self._listening = listening
        self._after = 0
        self._later: dict[str, tuple[datetime, int]] = {}
        """Instances whose evaluation failed: the time of the next attempt, and the number of attempts."""
        self._swept: tuple[int, str] = (0, "")
        self._swept_after: dict[str, int] = {}
        """By query: the number of the last instance of the last sweep, if there were more."""
        self._sweeps = 0

    async def work(self) -> int:
        """Judge the next page of instances with new evidence; return how many were judged."""
        page: UnjudgedParameters = {"after": self._after, "limit": PAGE_INSTANCES}
        rows = await self._database.fetch(UNJUDGED.bind(page))
        if not rows and self._after:
            self._after = 0
            rows = await self._database.fetch(UNJUDGED.bind({**page, "after": 0}))
        if rows:
            page_of = list(map(unjudged, rows))
            self._after = page_of[-1].number
            due = [one for one in page_of if self._is_due(one.instance_id)]
            return await self._judge(due) if due else 0
        return 0

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
        names = [one.instance_id for one in found]
        gathered = await self._tracer.facts(names)
        verdicts: dict[str, dict[str, Verdict]] = {}
        for name, facts in gathered.items():
            evidence = InstanceEvidence(
                facts=facts,
                lineage=derive(facts, moment=NOW),
                now=now,
                silent_after_seconds=self._listening.silent_after.total_seconds(),
                listening_since=self._listening.since,
            )
            verdicts[name] = {rule.id: storable_verdict(judge(rule, evidence)) for rule in RULES}
            await asyncio.sleep(0)
        judged: list[SetJudgedParameters] = [
            {"number": one.number, "judged": one.ledger_index, "before": one.judged} for one in found
        ]
        async with self._ledger.writing() as writing:
            events = await _moved(writing.transaction, verdicts, to_instant(now))
            new = [NewEntry(kind="verdict", content=event("verdict", stated)) for stated in events]
            places = await writing.append(new)
            await writing.flush()
            if events:
                entries = [(index, stated) for (index, _), stated in zip(places, events, strict=True)]
                await project_verdicts(writing.transaction, entries)
            await writing.transaction.execute(SET_JUDGED.bind(judged))
            at = to_instant(now)
            questions = open_questions(gathered.values(), at)
            writing.writes.append(ADD_TASK_UNLESS_KNOWN.bind([one for one in questions if one["kind"] != RANGE_KIND]))
            writing.writes.append(ask_ranges([one for one in questions if one["kind"] == RANGE_KIND]))
            writing.writes.append(ADD_TASK.bind(read_again(gathered.values(), at)))
        failed = [
            f"{stated['subject']['id']} {verdict['rule']}: {verdict['reason']}"
            for stated in events
            for verdict in stated["verdicts"]
            if verdict["verdict"] == "fail"
        ]
        if failed:
            log.warning("violations", extra=fields(violations=failed))

    async def sweep(self) -> int:
        """Mark instances to be judged again because of time or heartbeats, which append no entry; return how many.

        These are instances whose silence began or ended, whose clock became wrong or right, or that speak after their
        end, and instances judged by other rules. Each query continues where its last page ended, then starts over.
        """
        sets = _lacking(rule_sets(await self._database.fetch(RULE_SETS_ALL.bind({}))))
        now = self._now()
        (silent, silent_last), asked = await self._fallen_silent(now), self._asked(now, sets)
        found = [swept(rows) for rows in await self._database.fetch_all(each(asked))]
        names = sorted({*silent, *(name for some, _ in found for name in some)})
        if names:
            async with self._database.transaction() as transaction:
                await transaction.execute(UNJUDGE.bind([instance_ids(names)]))
        self._sweeps += 1
        for query, (some, last) in zip(asked, found, strict=True):
            self._swept_after[query.name] = last if len(some) == SWEEP_INSTANCES_MAX else 0
        if silent_last is not None:
            self._swept = silent_last
        return len(names)

    async def _fallen_silent(self, now: datetime) -> tuple[list[str], tuple[int, str] | None]:
        """Return the next instances whose silence has begun, and the position of the last one."""
        until = to_millis(now - self._listening.silent_after)
        if to_millis(self._listening.since) > until:  # the silence may be the aggregator's fault
            return [], None
        since, after = self._swept
        rows = await self._database.fetch(
            SILENT_SINCE.bind({"since": since, "after": after, "until": until, "limit": SWEEP_INSTANCES_MAX})
        )
        return fallen_silent(rows)

    def _asked(self, now: datetime, sets: Sequence[int]) -> list[BoundQuery[Swept]]:
        """Return the queries for the next instances that changed otherwise."""
        until, late = to_millis(now - self._listening.silent_after), int(ON_THE_WAY.total_seconds() * 1000)
        limit, after = SWEEP_INSTANCES_MAX, self._swept_after
        asked: list[BoundQuery[Swept]] = [
            SPEAKING_AGAIN.bind(
                {"until": until, "rule": AGENT_SILENT, "limit": limit, "after": after.get(SPEAKING_AGAIN.name, 0)}
            ),
            CLOCKS_GONE_WRONG.bind(
                {"rule": CLOCK_OFF, "limit": limit, "after": after.get(CLOCKS_GONE_WRONG.name, 0)}
            ),
            CLOCKS_SET_RIGHT.bind(
                {"rule": CLOCK_OFF, "by_heartbeats": f"{BY_HEARTBEATS}%", "limit": limit,
                 "after": after.get(CLOCKS_SET_RIGHT.name, 0)}
            ),
            JUDGED_BY_OTHERS.bind(
                {"sets": array(sets), "limit": limit, "after": after.get(JUDGED_BY_OTHERS.name, 0)}
            ),
        ]  # fmt: skip
        if self._sweeps % ENDED_SWEEPS == 0:
            asked.append(
                SPEAKING_THOUGH_ENDED.bind(
                    {"on_the_way": late, "rule": INSTANCE_UNLISTED, "limit": limit,
                     "after": after.get(SPEAKING_THOUGH_ENDED.name, 0)}
                )
            )  # fmt: skip
        return asked


def storable_verdict(verdict: Verdict) -> Verdict:
    """Return the verdict with a reason that every store accepts: old statements may contain unchecked text."""
    return replace(verdict, reason=cleaned(verdict.reason)[:_REASON_CHARACTERS_MAX])


async def _moved(transaction: Transaction, verdicts: dict[str, dict[str, Verdict]], now: str) -> list[dict[str, Any]]:
    """Return the entries of instances whose verdicts changed: in outcome, in reason, or in the rule's version."""
    names = instance_ids(sorted(verdicts))
    instances, verdicts_of = await transaction.fetch_all(together(INSTANCES_NAMED.bind(names), VERDICTS_OF.bind(names)))
    known = standing(verdicts_of)
    events = []
    for instance in map(judged_instance, instances):
        name, judged, moved, first = instance.instance_id, instance.rules, [], []
        for rule in RULES:
            if judged.get(rule.id, 0) > rule.version:
                continue  # a newer version of the program has judged by this rule, and will do so again
            verdict, before = verdicts[name][rule.id], known.get((name, rule.id))
            if rule.id not in judged:
                first.append(rule.id)
            elif verdict.outcome == "pass" and before is None:
                continue
            elif verdict.outcome == "gone" and (before is None or before.outcome in ("pass", "gone")):
                continue  # no violation was open
            if before != StandingVerdict(verdict.outcome, verdict.reason, rule.version):
                moved.append(
                    {"rule": rule.id, "version": rule.version, "verdict": verdict.outcome, "reason": verdict.reason}
                )
        rules = {**judged, **{one: max(version, judged.get(one, 0)) for one, version in RULE_VERSIONS.items()}}
        if moved or judged != rules:
            events.append(
                {
                    "subject": {"kind": INSTANCE, "id": name},
                    "account_id": instance.account_id,
                    "at": now,
                    "first": first,
                    "rules": rules,
                    "verdicts": moved,
                }
            )
    return events


def _lacking(sets: Mapping[int, Mapping[str, int]]) -> list[int]:
    """Return the rule sets that lack one of our rules, or have an older version: their instances are judged again."""
    ours = RULE_VERSIONS.items()
    return [number for number, known in sets.items() if any(known.get(one, 0) < version for one, version in ours)]
