"""Findings that were fixed long ago, which retention removes: by the entry that records it, live and in a replay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.ports import Transaction
from whence_aggregator.projections.findings import FINDINGS
from whence_aggregator.queries.findings import DROP_OLD_FINDINGS, DROP_OLD_REPORTS, DROP_OLD_SEEN
from whence_aggregator.queries.query import BoundCommand


async def project_pruned(transaction: Transaction, event: Mapping[str, Any]) -> None:
    """Remove rows of findings again, if the entry is about them; rows of other kinds stay."""
    if event["kind"] == FINDINGS:
        await transaction.execute(*removal_writes(event["past"]))


def removal_writes(past: int) -> Sequence[BoundCommand]:
    """Return what removes findings that were closed before an entry, and what newer rows confirm as well."""
    return [
        DROP_OLD_FINDINGS.bind([{"past": past}]),
        DROP_OLD_SEEN.bind([{"past": past}]),
        DROP_OLD_REPORTS.bind([{"past": past}]),
    ]
