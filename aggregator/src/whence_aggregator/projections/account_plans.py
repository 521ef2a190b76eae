"""Projections of applied plans of accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.queries.accounts import ADD_ACCOUNT_PLAN, AddAccountPlanParameters
from whence_aggregator.queries.query import BoundCommand

ACCOUNT_PLAN = "account-plan"


def account_plan_write(entries: Sequence[tuple[int, Mapping[str, Any]]]) -> BoundCommand:
    """Return the write of applied plans, one entry an account."""
    return ADD_ACCOUNT_PLAN.bind([_row(index, one) for index, one in entries])


def _row(index: int, event: Mapping[str, Any]) -> AddAccountPlanParameters:
    outcomes = [one["outcome"] for one in event["changes"]]
    return {
        "account_id": event["account_id"], "ledger_index": index, "plan": event["plan"], "report": event["report"],
        "begun_at": event["begun_at"], "ended_at": event["ended_at"], "applied_by": event["recorded_by"],
        "changed": outcomes.count("done"), "error": event["error"],
        "failed": sum(one not in ("done", "already") for one in outcomes),
    }  # fmt: skip
