"""The current verdicts of an instance: stored rows, and a pass for every other rule that judged it."""

from __future__ import annotations

from typing import Any

from whence_aggregator.compliance.rows import judged, shown_verdict
from whence_aggregator.ports import Database
from whence_aggregator.queries.agents import INSTANCES_NAMED
from whence_aggregator.queries.compliance import VERDICTS_OF
from whence_aggregator.queries.query import instance_ids, together


async def standing_verdicts(database: Database, instance_id: str) -> list[dict[str, Any]]:
    """Return a verdict for each rule that judged the instance, by rule. `since` is None if the rule always passed."""
    names = instance_ids([instance_id])
    instances, rows = await database.fetch_all(together(INSTANCES_NAMED.bind(names), VERDICTS_OF.bind(names)))
    known = {one["rule"]: one for one in map(shown_verdict, rows)}
    rules = judged(instances[0]).rules if instances else {}
    found = [
        known.get(rule)
        or {
            "rule": rule,
            "rule_version": version,
            "verdict": "pass",
            "reason": "",
            "since": None,
            "ledger_index": None,
        }
        for rule, version in rules.items()
    ]
    return sorted(({"instance_id": instance_id, **one} for one in found), key=lambda one: str(one["rule"]))
