"""Projection of changes of rules: the newest state of each rule that users wrote or switched off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.ports import Transaction
from whence_aggregator.queries.compliance import SET_RULE_STATE, SetRuleStateParameters

RULE_SET = "rule-set"
"""The kind of entries: one for each change of a rule. Each states the rule's whole state after it."""


async def project_rule_sets(transaction: Transaction, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Store the states of rules after some changes, the oldest first."""
    rows: dict[str, SetRuleStateParameters] = {
        event["rule"]: {
            "rule": event["rule"],
            "version": event["version"],
            "digest": event["digest"],
            "reason": event["reason"],
            "source_index": index if event["source"] is not None else event["source_entry"],
            "ledger_index": index,
        }
        for index, event in entries
    }
    await transaction.execute(SET_RULE_STATE.bind(list(rows.values())))
