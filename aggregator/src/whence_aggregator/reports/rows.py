"""Rows of counts and snapshots as values. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.queries.reports import (
    CountedAccountsRow,
    CountsOfAccountRow,
    CountsOfApplicationsRow,
    CountsOfDaysRow,
    CountsOfRulesRow,
    EveryCountRow,
    EveryNewestCountRow,
    NewestSummaryByRow,
    NewestSummaryDayRow,
    PlacesOfInstanceRow,
    SummaryDaysRow,
    TeamsOfApplicationsRow,
    TotalsRow,
    UnheardByAccountRow,
)
from whence_aggregator.reports.counted import CountKey, Counts, DayOfCount, NamedCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryDay:
    """A day with a snapshot, taken `at` an instant."""

    day: str
    at: str
    ledger_index: int


def totals(rows: Sequence[TotalsRow]) -> list[NamedCounts]:
    return [
        NamedCounts(
            name=row["name"], kind=row["subject_kind"], of_subjects=bool(row["of_subjects"]),
            counts=Counts(row["passed"], row["failed"], row["unknown"], row["folded"]),
        )
        for row in rows
    ]  # fmt: skip


def counts_by_key(
    rows: Sequence[EveryCountRow]
    | Sequence[EveryNewestCountRow]
    | Sequence[CountsOfAccountRow]
    | Sequence[CountsOfApplicationsRow]
    | Sequence[CountsOfRulesRow],
) -> dict[CountKey, Counts]:
    return {
        CountKey(row["account_id"], row["application_id"], row["subject_kind"], row["rule"]): Counts(
            row["passed"], row["failed"], row["unknown"], row["folded"]
        )
        for row in rows
    }


def days_of_counts(rows: Sequence[CountsOfDaysRow]) -> list[DayOfCount]:
    return [
        DayOfCount(
            key=CountKey(row["account_id"], row["application_id"], row["subject_kind"], row["rule"]),
            day=row["day"],
            ledger_index=row["ledger_index"],
            counts=Counts(row["passed"], row["failed"], row["unknown"], row["folded"]),
        )
        for row in rows
    ]


def summary_days(
    rows: Sequence[SummaryDaysRow] | Sequence[NewestSummaryByRow] | Sequence[NewestSummaryDayRow],
) -> list[SummaryDay]:
    return [SummaryDay(day=row["day"], at=row["at"], ledger_index=row["ledger_index"]) for row in rows]


def teams_of(rows: Sequence[TeamsOfApplicationsRow]) -> dict[str, str]:
    """Return the teams of applications as they are written."""
    return {row["application_id"]: row["team_id"] for row in rows}


def unheard(rows: Sequence[UnheardByAccountRow]) -> dict[str, int]:
    """Return how many instances never made a statement, by account."""
    return {row["account_id"]: row["n"] for row in rows}


def accounts_counted(rows: Sequence[CountedAccountsRow]) -> set[str]:
    """Return the accounts in which applications have subjects."""
    return {row["account_id"] for row in rows}


def places_named(rows: Sequence[PlacesOfInstanceRow]) -> tuple[set[str], set[str]]:
    """Return the accounts and the regions of an instance, by its statements and by the EC2 API."""
    return {row["account_id"] for row in rows}, {row["region"] for row in rows}
