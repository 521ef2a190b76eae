"""Rows of applied plans of accounts as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from whence_aggregator.queries.accounts import AccountPlansOfReportRow, AccountPlansOfRow, AccountPlansRow


class AppliedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that was applied to an account, as its report states. `changed` and `failed` count changes."""

    account_id: str
    ledger_index: int
    plan: str
    """Digest of the plan."""
    report: str
    """Digest of the report."""
    begun_at: str
    ended_at: str
    applied_by: str
    """Who posted the report."""
    changed: int
    failed: int
    error: str
    """Why the account as a whole was refused; empty: it was not."""


def applied_plan(row: AccountPlansRow | AccountPlansOfRow) -> AppliedPlan:
    return AppliedPlan(**row)


def entries_of_report(rows: Sequence[AccountPlansOfReportRow]) -> list[tuple[str, int]]:
    """Return the account and the index of each entry of a report."""
    return [(row["account_id"], row["ledger_index"]) for row in rows]
