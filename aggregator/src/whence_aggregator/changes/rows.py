"""Rows of instances, statements and lives as steps of production. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.changes.production import (
    Deployed,
    Occupant,
    ProductionLife,
    ProductionPlace,
    ProductionStatement,
    Step,
)
from whence_aggregator.changes.ranges import SourceCommit
from whence_aggregator.queries.approvals import CommitsOfImagesRow
from whence_aggregator.queries.changes import (
    FacetsWholeRow,
    InstancesOfFacetsRow,
    LivesFromRow,
    NewestInstancesRow,
    NewestOfFacetsRow,
    RunningBeforeRow,
    StatementsFromRow,
)
from whence_common.clock import from_millis

Combined = Mapping[int, tuple[ProductionPlace, Deployed]]
"""Place and what is deployed, by the number of a combination of facets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedLately:
    """An application, the newest entry about an instance that runs it, and the entry since which all were read."""

    application_id: str
    newest: int
    since: int


def facets_of_newest(rows: Sequence[NewestInstancesRow] | Sequence[NewestOfFacetsRow]) -> list[int]:
    """Return the combinations of the instances that reported last, each once."""
    return sorted({row["facets"] for row in rows})


def reported_lately(
    rows: Sequence[NewestInstancesRow] | Sequence[NewestOfFacetsRow], known: Combined, limit: int
) -> list[ReportedLately]:
    """Return the applications of the instances that reported last, the newest first; `limit` is how many were read."""
    since = rows[-1]["newest"] if len(rows) >= limit else 0
    newest: dict[str, int] = {}
    for row in rows:
        newest.setdefault(known[row["facets"]][0].application_id, row["newest"])
    return [ReportedLately(application_id=one, newest=index, since=since) for one, index in newest.items()]


def instance_numbers(rows: Sequence[InstancesOfFacetsRow]) -> list[int]:
    return [row["instance"] for row in rows]


def combined(rows: Sequence[FacetsWholeRow]) -> Combined:
    """Return combinations by number."""
    return {
        row["number"]: (
            ProductionPlace(
                application_id=row["application_id"], account_id=row["account_id"], region=row["region"]
            ),
            Deployed(
                version=row["application_version"], image=row["image_digest"], user_data=row["user_data_digest"]
            ),
        )
        for row in rows
    }  # fmt: skip


def facets_in(*pages: Sequence[RunningBeforeRow] | Sequence[StatementsFromRow]) -> list[int]:
    """Return the combinations that rows name, each once."""
    return sorted({row["facets"] for page in pages for row in page})


def occupants(rows: Sequence[RunningBeforeRow], known: Combined) -> list[Occupant]:
    """Return the instances as they were before a bound."""
    return [_occupant(row, known) for row in rows]


def steps_of(
    statements: Sequence[StatementsFromRow], lives: Sequence[LivesFromRow], known: Combined, rows_max: int
) -> tuple[list[list[Step]], int | None]:
    """Return the steps by entry, in order, and the first entry that is not among them if the rows were cut."""
    past = _past(statements, rows_max), _past(lives, rows_max)
    bound = min((one for one in past if one is not None), default=None)
    entries: dict[int, list[Step]] = {}
    for row in statements:
        step = ProductionStatement(
            ledger_index=row["ledger_index"], recorded_at=from_millis(row["recorded_at"]),
            observed_at=from_millis(row["observed_at"]), occupant=_occupant(row, known),
        )  # fmt: skip
        entries.setdefault(row["ledger_index"], []).append(step)
    for lived in lives:
        life = ProductionLife(
            ledger_index=lived["ledger_index"], recorded_at=from_millis(lived["recorded_at"]),
            instance=lived["instance"], life=lived["life"],
        )  # fmt: skip
        entries.setdefault(lived["ledger_index"], []).append(life)
    return [entries[index] for index in sorted(entries) if bound is None or index < bound], bound


def named_commits(rows: Sequence[CommitsOfImagesRow]) -> dict[str, list[SourceCommit]]:
    """Return the commits that anyone stated for images, by image."""
    found: dict[str, list[SourceCommit]] = {}
    for row in rows:
        commit = SourceCommit(repository=row["repository"], commit_id=row["commit_id"])
        found.setdefault(row["image_digest"], []).append(commit)
    return found


def _occupant(row: RunningBeforeRow | StatementsFromRow, known: Combined) -> Occupant:
    place, deployed = known[row["facets"]]
    return Occupant(
        instance=row["instance"], instance_id=row["instance_id"], order=(row["enrolment"], row["sequence"]),
        place=place, deployed=deployed, cause=row["cause"], since=row["ledger_index"], life=row["life"],
    )  # fmt: skip


def _past(rows: Sequence[StatementsFromRow] | Sequence[LivesFromRow], rows_max: int) -> int | None:
    """Return the entry after the last row, if there may be more rows."""
    return rows[-1]["ledger_index"] if len(rows) > rows_max else None
