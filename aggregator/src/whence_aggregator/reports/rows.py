"""Rows of counts and snapshots as values. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from whence_aggregator.queries.findings import VersionsOfImagesRow
from whence_aggregator.queries.reports import (
    ApplicationCountsOfDaysRow,
    CountedAccountsRow,
    CountsOfAccountRow,
    CountsOfApplicationsRow,
    CountsOfDaysRow,
    CountsOfPlacesRow,
    CountsOfRulesByAccountRow,
    CountsOfRulesByTeamRow,
    EveryCountRow,
    EveryNewestCountRow,
    NewestSummaryByRow,
    NewestSummaryDayRow,
    PlacesOfInstanceRow,
    ReportsRecordedRow,
    ReportsWithDigestRow,
    StepsOfScopeRow,
    SummaryDaysRow,
    SumsOfApplicationsRow,
    TeamOfApplicationRow,
    TeamsOfApplicationsRow,
    TotalsAtRow,
    TotalsByTeamAtRow,
    TotalsByTeamRow,
    TotalsOfDaysRow,
    TotalsRow,
    UnheardByAccountRow,
    UnheardOfAccountRow,
)
from whence_aggregator.queries.trace import TagDigestsRow
from whence_aggregator.reports.counted import CountKey, Counts, DayOfCount, NamedCounts
from whence_aggregator.reports.period import PeriodStep, StepsOfViolation
from whence_aggregator.trace.tags import FRONT, REGISTRY


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryDay:
    """A day with a snapshot, taken `at` an instant."""

    day: str
    at: str
    ledger_index: int


def totals(rows: Sequence[TotalsRow] | Sequence[TotalsAtRow]) -> list[NamedCounts]:
    return [
        NamedCounts(
            name=row["name"], kind=row["subject_kind"], of_subjects=bool(row["of_subjects"]),
            counts=Counts(row["passed"], row["failed"], row["unknown"], row["folded"]),
        )
        for row in rows
    ]  # fmt: skip


def totals_by_account(rows: Sequence[CountsOfRulesByAccountRow]) -> list[NamedCounts]:
    """Return sums of verdicts by account."""
    return [
        NamedCounts(
            name=row["account_id"], kind=row["subject_kind"], of_subjects=False,
            counts=Counts(row["passed"], row["failed"], row["unknown"], row["folded"]),
        )
        for row in rows
    ]  # fmt: skip


def totals_by_team(
    rows: Sequence[TotalsByTeamRow] | Sequence[TotalsByTeamAtRow] | Sequence[CountsOfRulesByTeamRow],
) -> list[NamedCounts]:
    """Return sums by team, as applications name it: None for those of no team, '' for what is of no application."""
    return [
        NamedCounts(
            name=team_named(row["team_id"], bool(row["of_application"])), kind=row["subject_kind"],
            of_subjects=bool(row["of_subjects"]),
            counts=Counts(row["passed"], row["failed"], row["unknown"], row["folded"]),
        )
        for row in rows
    ]  # fmt: skip


def team_named(team_id: str, of_application: bool) -> str | None:
    """Return the name of the group by team: None for applications of no team, '' for what is of no application."""
    return (team_id or None) if of_application else ""


def counts_by_key(
    rows: Sequence[EveryCountRow]
    | Sequence[EveryNewestCountRow]
    | Sequence[CountsOfAccountRow]
    | Sequence[CountsOfApplicationsRow]
    | Sequence[CountsOfPlacesRow],
) -> dict[CountKey, Counts]:
    return {
        CountKey(row["account_id"], row["application_id"], row["subject_kind"], row["rule"]): Counts(
            row["passed"], row["failed"], row["unknown"], row["folded"]
        )
        for row in rows
    }


def sums_by_place(rows: Sequence[SumsOfApplicationsRow]) -> list[tuple[CountKey, bool, Counts]]:
    """Return sums over rules by account and application, and whether they are of subjects; the keys have no rule."""
    return [
        (
            CountKey(row["account_id"], row["application_id"], row["subject_kind"], ""), bool(row["of_subjects"]),
            Counts(row["passed"], row["failed"], row["unknown"], row["folded"]),
        )
        for row in rows
    ]  # fmt: skip


def days_of_totals(rows: Sequence[TotalsOfDaysRow]) -> list[DayOfCount]:
    """Return the sums of rules or accounts by day; the name of each is in place of the rule."""
    return [
        DayOfCount(
            key=CountKey("", "", row["subject_kind"], row["name"]), day=row["day"],
            counts=Counts(row["passed"], row["failed"], row["unknown"], row["folded"]),
        )
        for row in rows
    ]  # fmt: skip


def days_of_counts(rows: Sequence[CountsOfDaysRow] | Sequence[ApplicationCountsOfDaysRow]) -> list[DayOfCount]:
    return [
        DayOfCount(
            key=CountKey(row["account_id"], row["application_id"], row["subject_kind"], row["rule"]),
            day=row["day"],
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


def unheard(rows: Sequence[UnheardByAccountRow] | Sequence[UnheardOfAccountRow]) -> dict[str, int]:
    """Return how many instances never made a statement, by account."""
    return {row["account_id"]: row["n"] for row in rows}


def accounts_counted(rows: Sequence[CountedAccountsRow]) -> set[str]:
    """Return the accounts in which applications have subjects."""
    return {row["account_id"] for row in rows}


def places_named(rows: Sequence[PlacesOfInstanceRow]) -> tuple[set[str], set[str]]:
    """Return the accounts and the regions of an instance, by its statements and by the EC2 API."""
    return {row["account_id"] for row in rows}, {row["region"] for row in rows}


def steps_by_violation(rows: Sequence[StepsOfScopeRow]) -> Iterator[StepsOfViolation]:
    """Yield violations with their steps; rows are in the order of their ids."""
    for _, some in groupby(rows, key=lambda row: row["id"]):
        steps = list(some)
        one = steps[0]
        yield StepsOfViolation(
            id=one["id"], rule=one["rule"], severity=one["severity"], kind=one["kind"], subject=one["subject"],
            application_id=one["application_id"], account_id=one["account_id"], team=one["team"],
            steps=[
                PeriodStep(
                    ledger_index=row["ledger_index"], step=row["step"], at=row["at"], by=row["done_by"],
                    comment=row["comment"], exemption=row["exemption"], exempt_until=row["exempt_until"],
                )
                for row in steps
            ],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedReport:
    """A report as its entry states it, with the digests of its files by name."""

    ledger_index: int
    team: str
    account: str
    since: str
    until: str
    made_at: str
    made_by: str
    digests: dict[str, str]

    def to_wire(self) -> dict[str, object]:
        return {
            "ledger_index": self.ledger_index, "team": self.team or None, "account": self.account or None,
            "from": self.since, "to": self.until, "made_at": self.made_at, "made_by": self.made_by,
            "digests": self.digests,
        }  # fmt: skip


def recorded_reports(rows: Sequence[ReportsRecordedRow] | Sequence[ReportsWithDigestRow]) -> list[RecordedReport]:
    """Return reports; the rows of one follow each other."""
    found: dict[int, RecordedReport] = {}
    for row in rows:
        one = found.setdefault(
            row["ledger_index"],
            RecordedReport(
                ledger_index=row["ledger_index"], team=row["team_id"], account=row["account_id"], since=row["since"],
                until=row["until"], made_at=row["made_at"], made_by=row["made_by"], digests={},
            ),
        )  # fmt: skip
        one.digests[row["name"]] = row["digest"]
    return list(found.values())


def digests_by_registry(rows: Sequence[TagDigestsRow]) -> list[str]:
    """Return the digests that the front stated for a tag, else those of its registry; an instance's do not count."""
    by_front = {row["digest"] for row in rows if row["said_by"] == FRONT}
    return sorted(by_front or {row["digest"] for row in rows if row["said_by"] == REGISTRY})


def applications_of_image(rows: Sequence[VersionsOfImagesRow]) -> list[str]:
    return sorted({row["application_id"] for row in rows})


def team_of_application(rows: Sequence[TeamOfApplicationRow]) -> str | None:
    """Return the team of an application; None if nobody registered it."""
    return rows[0]["team_id"] if rows else None
