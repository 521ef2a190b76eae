"""Rows of verdicts and rule sets as values. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from whence_aggregator.queries.compliance import NeverSpokeRow, VerdictsRow
from whence_common.clock import parse_instant, to_instant


def violation(row: VerdictsRow) -> dict[str, Any]:
    """Return a verdict as the list of violations shows it."""
    return {
        "instance_id": row["instance_id"],
        "rule": row["rule"],
        "verdict": row["verdict"],
        "reason": row["reason"],
        "since": row["since"],
        "ledger_index": row["ledger_index"],
        "account_id": row["account_id"],
        "region": row["region"],
        "application_id": row["application_id"],
        "cursor": f"{row['subject']}~{row['rule']}",
    }


def never_spoke(row: NeverSpokeRow, rule: str, after: timedelta, cursor: str) -> dict[str, Any]:
    """Return a running instance without a statement as a violation of a rule, `after` its launch."""
    return {
        "instance_id": row["instance_id"],
        "rule": rule,
        "verdict": "unknown",
        "reason": f"the EC2 API lists it as running, launched {row['launched_at']}, and it never made a statement",
        "since": to_instant(parse_instant(row["launched_at"]) + after),
        "ledger_index": row["ledger_index"],
        "account_id": row["account_id"],
        "region": row["region"],
        "application_id": None,
        "cursor": cursor + row["instance_id"],
    }
