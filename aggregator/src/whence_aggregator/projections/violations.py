"""Projection of the steps of violations, and of exemptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.ports import Transaction
from whence_aggregator.projections.violation_rows import (
    STEPS_OF_EXEMPTIONS,
    StoredViolation,
    after_step,
    stored_by_id,
    violation_row,
)
from whence_aggregator.queries.query import BoundCommand, array
from whence_aggregator.queries.violations import (
    ADD_EXEMPTION,
    ADD_VIOLATION_STEP,
    END_EXEMPTION,
    PUT_VIOLATION,
    VIOLATIONS_NAMED,
    AddViolationStepParameters,
)


async def project_violation_steps(transaction: Transaction, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Store what the steps make of their violations, and the exemptions that are granted or withdrawn."""
    ids = sorted({event["violation"]["id"] for _, event in entries if event["step"] not in STEPS_OF_EXEMPTIONS})
    rows = await transaction.fetch(VIOLATIONS_NAMED.bind({"ids": array(ids)}))
    known = stored_by_id(rows)
    steps, exemptions = list[AddViolationStepParameters](), list[BoundCommand]()
    for index, event in entries:
        if event["step"] in STEPS_OF_EXEMPTIONS:
            exemptions.append(_exemption(index, event))
            continue
        name = event["violation"]["id"]
        known[name] = after_step(known.get(name), index, event)
        steps.append(_step(index, known[name], event))
    await transaction.execute(
        *exemptions,
        PUT_VIOLATION.bind([violation_row(known[name]) for name in ids]),
        ADD_VIOLATION_STEP.bind(steps),
    )


def _exemption(index: int, event: Mapping[str, Any]) -> BoundCommand:
    one = event["exemption"]
    if event["step"] == "withdrawn":
        return END_EXEMPTION.bind([{"id": one["id"], "ended_at": event["at"], "ended_by": event["by"]}])
    return ADD_EXEMPTION.bind(
        [
            {
                "id": one["id"],
                "rule": one["rule"],
                "application_id": one["application_id"],
                "version": one["version"],
                "account_id": one["account_id"],
                "ami": one["ami"],
                "team": one["team"],
                "severity_min": one["severity_min"],
                "granted_at": event["at"],
                "granted_by": event["by"],
                "reason": event["comment"],
                "until": one["until"],
                "ledger_index": index,
            }
        ]
    )


def _step(index: int, after: StoredViolation, event: Mapping[str, Any]) -> AddViolationStepParameters:
    return {
        "violation": after.id,
        "ledger_index": index,
        "step": event["step"],
        "at": event["at"],
        "done_by": event["by"],
        "comment": event.get("comment") or event.get("reason") or "",
        "exemption": (event.get("exemption") or {}).get("id", ""),
        "state_after": after.to_text(),
    }
