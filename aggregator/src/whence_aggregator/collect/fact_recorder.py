"""Facts: a collector reads a subject, and its result becomes an entry of the log."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.rows import StandingFact, standing_fact
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.ports import CollectedFact, SourceUnavailable
from whence_aggregator.projections.events import links_of, project_fact
from whence_aggregator.projections.removals import REMOVED
from whence_aggregator.queries.collect import FACTS_NOW
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.work import ADD_TASK_UNLESS_KNOWN
from whence_aggregator.trace.facts import BRANCH_KIND, DATED_KINDS, RANGE_KIND, SIGNATURE_KIND
from whence_aggregator.work.questions import RANGE_TRACKING_KIND, RANGES_LANE, question
from whence_common.clock import Now, parse_instant, to_instant
from whence_common.ledger_entry import event
from whence_common.runtime.logs import fields
from whence_common.storable import cleaned

log = logging.getLogger(__name__)

ANSWER_SECONDS_MAX = 600.0
"""For one complete answer with all its parts: a single layer may take nine minutes."""
_BESIDE_AT_ONCE_MAX = 100
"""In one transaction: the log's other writers wait meanwhile."""
_FOLLOW_UP_MAX = 32
"""An image has few sources; one with thousands would only fill the queue."""


class FactRecorder:
    """Collects facts by kind, and records them."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        collectors: Mapping[str, Collector],
        now: Now,
        answer_seconds_max: float = ANSWER_SECONDS_MAX,
    ) -> None:
        self._ledger = ledger
        self._collectors = collectors
        self._now = now
        self._answer_seconds_max = answer_seconds_max

    async def collect(self, kind: str, subject: str, lane: str) -> CollectedFact:
        """Collect the fact about a subject now, and record it.

        Questions that follow from the answer wait in the same `lane`. Raises SourceUnavailable, StorageUnavailable or
        InputError.
        """
        return (await self.ask(kind, subject, lane))[0]

    async def ask(self, kind: str, subject: str, lane: str) -> tuple[CollectedFact, datetime]:
        """Collect and record a fact; return it, and since when the source has reported the same."""
        found = await self._answer(kind, subject)
        finding = replace(found, value=cleaned(found.value), reason=cleaned(found.reason))
        now = self._now()
        await self._record_beside(finding.beside, now)
        asked = FACTS_NOW.bind({"kind": kind, "subjects": array([subject])})
        async with self._ledger.writing(together(asked)) as writing:
            known = list(map(standing_fact, writing.found[0]))
            for one in known:
                if REMOVED in one.value and kind not in DATED_KINDS:  # the same commit would bring its people back
                    return CollectedFact(outcome="absent", reason=one.reason), now
            for before in (one for one in known if REMOVED not in one.value):
                finding = finding.after(before.value, before.observed_at)
            standing = _standing(known, finding)
            if standing is not None:
                return finding, parse_instant(standing.observed_at)  # the same answer again is not a new entry
            await _store(writing, (kind, subject, lane), finding, now)
        log.info("fact found", extra=fields(kind=kind, subject=subject, outcome=finding.outcome, reason=finding.reason))
        return finding, now

    async def _record_beside(self, beside: Sequence[tuple[str, str, CollectedFact]], now: datetime) -> None:
        """Record facts that were found with another, unless one is known; a bounded number in one transaction.

        NOTE: no questions follow from them: what reaches the commit at the end of a range reaches those in it.
        """
        for start in range(0, len(beside), _BESIDE_AT_ONCE_MAX):
            part = beside[start : start + _BESIDE_AT_ONCE_MAX]
            (kind,) = {one for one, _, _ in part}
            asked = FACTS_NOW.bind({"kind": kind, "subjects": array([subject for _, subject, _ in part])})
            async with self._ledger.writing(together(asked)) as writing:
                known = {standing_fact(row).subject for row in writing.found[0]}
                for _, subject, finding in part:
                    if subject not in known:
                        cleared = replace(finding, value=cleaned(finding.value), reason=cleaned(finding.reason))
                        await _append(writing, (kind, subject), cleared, now)

    async def _answer(self, kind: str, subject: str) -> CollectedFact:
        """Return the collector's answer. Raises SourceUnavailable, also when it takes too long."""
        try:
            async with asyncio.timeout(self._answer_seconds_max):
                return await self._collectors[kind].collect(subject)
        except TimeoutError as exc:
            message = f"{subject}: no complete answer within {self._answer_seconds_max:g} seconds"
            raise SourceUnavailable("source-too-slow", message) from exc


def _standing(known: Iterable[StandingFact], finding: CollectedFact) -> StandingFact | None:
    """Return the recorded fact with the same content; None when there is none."""
    return next((one for one in known if finding.same_as(one.outcome, one.reason, one.value)), None)


async def _append(
    writing: Writing[Any], asked: tuple[str, str], finding: CollectedFact, now: datetime
) -> tuple[dict[str, Any], int]:
    """Append the fact to the log and project it; return its members and its index."""
    kind, subject = asked
    stated: dict[str, Any] = {
        "kind": kind,
        "subject": subject,
        "observed_at": to_instant(now),
        "outcome": finding.outcome,
        "value": finding.value,
        "reason": finding.reason,
    }
    ((index, _),) = await writing.append([NewEntry(kind="fact", content=event("fact", stated))])
    await project_fact(writing.transaction, index, stated)
    return stated, index


async def _store(writing: Writing[Any], asked: tuple[str, str, str], finding: CollectedFact, now: datetime) -> None:
    """Append the fact to the log, project it, and ask the questions that follow from it in the same lane."""
    kind, subject, lane = asked
    observed_at = to_instant(now)
    stated, index = await _append(writing, (kind, subject), finding, now)
    follow_up = [
        question("commit", f"{row['repository']}@{row['commit_id']}", due_at=observed_at, lane=lane)
        for row in links_of(stated, index)[:_FOLLOW_UP_MAX]
    ]
    if kind == "commit" and finding.outcome == "found":
        follow_up.append(question(BRANCH_KIND, subject, due_at=observed_at, lane=lane))
        if finding.value["signature_form"] != "none":
            follow_up.append(question(SIGNATURE_KIND, subject, due_at=observed_at, lane=lane))
    if kind == RANGE_KIND and finding.outcome == "found":
        follow_up.append(question(RANGE_TRACKING_KIND, subject, due_at=observed_at, lane=RANGES_LANE))
    writing.writes.append(ADD_TASK_UNLESS_KNOWN.bind(follow_up))
