"""Projection of reports: who made which, and the digests of its files. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.queries.query import BoundCommand
from whence_aggregator.queries.reports import ADD_REPORT_FILE, AddReportFileParameters

REPORT = "report"


def report_writes(index: int, event: Mapping[str, Any]) -> list[BoundCommand]:
    """Return what an entry writes: a row for each file."""
    rows: list[AddReportFileParameters] = [
        {
            "digest": digest, "ledger_index": index, "name": name, "team_id": event["team_id"],
            "account_id": event["account_id"], "since": event["since"], "until": event["until"],
            "made_at": event["made_at"], "made_by": event["made_by"],
        }
        for name, digest in sorted(event["digests"].items())
    ]  # fmt: skip
    return [ADD_REPORT_FILE.bind(rows)]
