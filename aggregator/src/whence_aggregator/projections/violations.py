"""Projection of the steps of violations, and of exemptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from whence_aggregator.ports import Transaction
from whence_aggregator.projections.violation_rows import (
    STEPS_OF_EXEMPTIONS,
    StoredViolation,
    after_step,
    last_numbers,
    stored_by_id,
    violation_row,
)
from whence_aggregator.queries.query import BoundCommand, array, together
from whence_aggregator.queries.violations import (
    ADD_EXEMPTION,
    ADD_VIOLATION_PAST,
    ADD_VIOLATION_STEP,
    END_EXEMPTION,
    LAST_NUMBERS,
    PUT_VIOLATION,
    SHORTEN_EXEMPTION,
    VIOLATIONS_NAMED,
    AddViolationPastParameters,
    AddViolationStepParameters,
)


async def project_violation_steps(transaction: Transaction, entries: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Store what the steps make of their violations, what these were, and what becomes of exemptions.

    The first step of a violation, and each grant, takes the next number.
    """
    ids = sorted({event["violation"]["id"] for _, event in entries if event["step"] not in STEPS_OF_EXEMPTIONS})
    rows, last = await transaction.fetch_all(
        together(VIOLATIONS_NAMED.bind({"ids": array(ids)}), LAST_NUMBERS.bind({}))
    )
    known, (violation, exemption) = stored_by_id(rows), last_numbers(last)
    steps, exemptions = list[AddViolationStepParameters](), list[BoundCommand]()
    past = list[AddViolationPastParameters]()
    for index, event in entries:
        if event["step"] in STEPS_OF_EXEMPTIONS:
            exemption += event["step"] == "granted"
            exemptions.append(_exemption(index, event, exemption))
            continue
        name = event["violation"]["id"]
        before = known.get(name)
        if before is not None:
            past.append({**violation_row(before), "until_index": index})
        one = after_step(before, index, event)
        violation += before is None
        known[name] = one if before is not None else replace(one, number=violation)
        steps.append(_step(index, known[name], event))
    await transaction.execute(
        *exemptions,
        ADD_VIOLATION_PAST.bind(past),
        PUT_VIOLATION.bind([violation_row(known[name]) for name in ids]),
        ADD_VIOLATION_STEP.bind(steps),
    )


def _exemption(index: int, event: Mapping[str, Any], number: int) -> BoundCommand:
    one = event["exemption"]
    if event["step"] == "withdrawn":
        return END_EXEMPTION.bind([{"id": one["id"], "ended_at": event["at"], "ended_by": event["by"]}])
    if event["step"] == "shortened":
        return SHORTEN_EXEMPTION.bind([{"id": one["id"], "until": one["until"]}])
    return ADD_EXEMPTION.bind(
        [
            {
                "id": one["id"],
                "number": number,
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
