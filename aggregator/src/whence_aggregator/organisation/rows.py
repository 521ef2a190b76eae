"""Rows of the organisation's tables as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.queries.organisation import OrganisationReadsAtRow


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeReading:
    """The newest reading of a source that was whole, and changed something."""

    source: str
    observed_at: str
    ledger_index: int
    teams: int
    accounts: int


def whole_readings(rows: Sequence[OrganisationReadsAtRow]) -> dict[str, WholeReading]:
    """Return them by source."""
    return {
        row["source"]: WholeReading(
            source=row["source"],
            observed_at=row["observed_at"],
            ledger_index=row["ledger_index"],
            teams=row["teams"],
            accounts=row["accounts"],
        )
        for row in rows
    }
