"""Judges pages of instances: reads their facts and evaluates every rule. Any process may do it: nothing is written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.gathering import InstanceEvidence, evidence_of
from whence_aggregator.compliance.moving import judge_all
from whence_aggregator.compliance.open_questions import open_questions, read_again
from whence_aggregator.compliance.own.rules import broken_rules
from whence_aggregator.compliance.recording import JudgedNow
from whence_aggregator.compliance.resting import digest_of, entries_of, unlogged_of
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.views import SubjectKey, views_of
from whence_aggregator.queries.work import AddTaskParameters
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.judged_facts import judged_facts
from whence_aggregator.trace.life import ENDED
from whence_aggregator.trace.lineage import Lineage
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.tracer import Tracer
from whence_common.clock import to_instant


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPage:
    """Instances that were judged, and what follows from their evidence."""

    judged: Sequence[JudgedNow]
    shown: Mapping[SubjectKey, frozenset[str]]
    """The digests of what they show of the subjects that they are of; the empty one of an ended instance."""
    open: Sequence[AddTaskParameters]
    """Questions that nobody has answered yet."""
    again: Sequence[AddTaskParameters]
    """Questions whose answers are read again."""


class JudgesElsewhere(Protocol):
    """Judges pages of instances in another process."""

    async def page(self, instance_ids: Sequence[str], now: datetime) -> JudgedPage | None:
        """Return a page as it is judged here; None where that failed, for whatever reason: it is judged here then."""
        ...

    async def rest(self) -> None:
        """End the process if it was not needed for a while."""
        ...

    async def close(self) -> None:
        """End the process."""
        ...


class PageJudge:
    """Judges in the calling process."""

    def __init__(self, *, tracer: Tracer, rules: RulesInForce, listening: Listening) -> None:
        self._tracer = tracer
        self._rules = rules
        self._listening = listening

    async def page(self, instance_ids: Sequence[str], now: datetime) -> JudgedPage:
        """Return the verdicts about instances by what is known now; those without a statement are left out."""
        gathered = await self._tracer.facts(instance_ids)
        judged, evidence = list[JudgedNow](), list[tuple[Facts, SubjectEvidence]]()
        for facts in gathered.values():
            one = await self._judged(facts, now)
            judged.append(one)
            evidence.append((facts, one.evidence))
            await asyncio.sleep(0)
        at = to_instant(now)
        return JudgedPage(
            judged=judged,
            shown=_shown(evidence, self._rules),
            open=open_questions(gathered.values(), at),
            again=read_again(gathered.values(), at),
        )

    async def _judged(self, facts: Facts, now: datetime) -> JudgedNow:
        facts, lineage, evidence = evidence_now(facts, now, rules=self._rules, listening=self._listening)
        answers = await self._rules.own_answers(evidence)
        return JudgedNow(
            evidence=evidence,
            verdicts=judge_all(evidence, self._rules, answers),
            unlogged=partial(unlogged_of, facts, evidence),
            entries=partial(entries_of, facts, lineage),
            instance=evidence.id,
            broken=broken_rules(answers),
        )


def evidence_now(
    facts: Facts, now: datetime, *, rules: RulesInForce, listening: Listening
) -> tuple[Facts, Lineage, SubjectEvidence]:
    """Return the facts that rules judge, with their lineage, and the evidence of the instance."""
    facts = judged_facts(facts)
    lineage = derive(facts, moment=NOW)
    evidence = evidence_of(
        InstanceEvidence(
            facts=facts,
            lineage=lineage,
            now=now,
            silent_after_seconds=listening.silent_after.total_seconds(),
            listening_since=listening.since,
            settings=rules.settings,
        )
    )
    return facts, lineage, evidence


def views_in_force(facts: Facts, evidence: SubjectEvidence, rules: RulesInForce) -> dict[SubjectKey, SubjectEvidence]:
    """Return the subjects that an instance shows, of kinds that rules in force are about."""
    ami = str(facts.binding.identity.get("image_id") or "")
    return {key: view for key, view in views_of(evidence, ami).items() if rules.of_kind(view.kind)}


def _shown(judged: Iterable[tuple[Facts, SubjectEvidence]], rules: RulesInForce) -> dict[SubjectKey, frozenset[str]]:
    shown: dict[SubjectKey, list[SubjectEvidence | None]] = {}
    for facts, evidence in judged:
        for key, view in views_in_force(facts, evidence, rules).items():
            one, some = None if facts.life in ENDED else view, shown.setdefault(key, [])
            if one not in some:  # most instances of a version show the same, and a digest costs more
                some.append(one)
    return {key: frozenset(digest_of(one) if one is not None else "" for one in some) for key, some in shown.items()}
