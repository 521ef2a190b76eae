"""Projection of the daily snapshots of counts of verdicts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.queries.query import BoundCommand
from whence_aggregator.queries.reports import (
    ADD_SUMMARY_COUNT,
    ADD_SUMMARY_DAY,
    ADD_SUMMARY_TOTALS,
    END_SUMMARY_TOTALS,
    AddSummaryCountParameters,
)

SUMMARY = "summary"


def summary_writes(index: int, event: Mapping[str, Any]) -> list[BoundCommand]:
    """Return what an entry writes: the counts of one account that changed by a day, or that the day is complete."""
    rows: list[AddSummaryCountParameters] = []
    for application, kind, rule, passed, failed, unknown, folded in event["counts"]:
        rows.append(
            {
                "account_id": event["account_id"], "application_id": application, "subject_kind": kind, "rule": rule,
                "day": event["day"], "ledger_index": index, "passed": passed, "failed": failed, "unknown": unknown,
                "folded": folded,
            }
        )  # fmt: skip
    if not event["complete"]:
        return [ADD_SUMMARY_COUNT.bind(rows)]
    day = event["day"]
    return [
        ADD_SUMMARY_COUNT.bind(rows),
        ADD_SUMMARY_DAY.bind([{"day": day, "at": event["at"], "ledger_index": index}]),
        ADD_SUMMARY_TOTALS.bind([{"day": day}]),
        END_SUMMARY_TOTALS.bind([{"day": day}]),
    ]
