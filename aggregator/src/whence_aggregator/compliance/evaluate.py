"""Evaluation: one instance, all rules; verdicts that moved become ledger entries and are stored."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from whence_aggregator.compliance.rule import Evidence
from whence_aggregator.compliance.rules import RULES
from whence_aggregator.ledger.append import Entry, append
from whence_aggregator.ports import Database, NotFound, Row
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.tracer import Tracer
from whence_common.clock import Now, to_instant
from whence_common.logs import fields

log = logging.getLogger(__name__)

SWEEP_INSTANCES_MAX = 1_000


class Evaluator:
    """Keeps verdicts in step with the evidence."""

    def __init__(self, *, database: Database, tracer: Tracer, now: Now, silent_after_seconds: float) -> None:
        self._database = database
        self._tracer = tracer
        self._now = now
        self._silent_after_seconds = silent_after_seconds

    async def evaluate(self, instance_id: str) -> None:
        """Judge one instance by every rule and store what moved."""
        now = self._now()
        try:
            facts = await self._tracer.facts(instance_id)
        except NotFound:
            return
        evidence = Evidence(
            facts=facts,
            lineage=derive(facts, at=to_instant(now)),
            now=now,
            silent_after_seconds=self._silent_after_seconds,
        )
        verdicts = {rule.id: rule.judge(evidence) for rule in RULES}
        async with self._database.transaction() as transaction:
            known = {row["rule"]: row for row in await transaction.fetch("verdicts_of", {"instance_id": instance_id})}
            moved = {
                rule: verdict
                for rule, verdict in verdicts.items()
                if rule not in known
                or (known[rule]["verdict"], known[rule]["reason"]) != (verdict.outcome, verdict.reason)
            }
            rows: list[dict[str, Any]] = [
                {
                    "instance_id": instance_id,
                    "rule": rule,
                    "verdict": verdict.outcome,
                    "reason": verdict.reason,
                    "since": _since(known.get(rule), verdict.outcome, to_instant(now)),
                    "account_id": facts.binding.identity["account_id"],
                    "application_id": facts.statement.predicate.application_id,
                }
                for rule, verdict in moved.items()
            ]
            entries = [Entry.event("verdict", row) for row in rows]
            indexes = await append(transaction, entries, recorded_at=to_instant(now))
            for row, index in zip(rows, indexes, strict=True):
                row["ledger_index"] = index
            await transaction.execute("set_verdict", rows)
        for row in rows:
            if row["verdict"] == "fail":
                log.warning("violation", extra=fields(instance=instance_id, rule=row["rule"], reason=row["reason"]))

    async def sweep(self) -> int:
        """Have instances judged again whose silence began or ended; give how many."""
        now = self._now()
        before = to_instant(now - timedelta(seconds=self._silent_after_seconds))
        rows = await self._database.fetch("silence_moved", {"silent_before": before, "limit": SWEEP_INSTANCES_MAX})
        if rows:
            due = to_instant(now)
            tasks = [{"kind": "evaluate", "subject": row["instance_id"], "due_at": due} for row in rows]
            async with self._database.transaction() as transaction:
                await transaction.execute("add_task", tasks)
        return len(rows)


def _since(known: Row | Mapping[str, Any] | None, outcome: str, now: str) -> str:
    """A verdict keeps its beginning while only its reason moves."""
    return str(known["since"]) if known is not None and known["verdict"] == outcome else now
