"""Rows of findings as values, and what a stored finding states beside its columns. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from whence_aggregator.projections.finding_rows import ABSENT, STATED, body_of
from whence_aggregator.queries.findings import (
    AccountsOfApplicationsRow,
    ApplicationsOfInstancesRow,
    CompleteReportRow,
    CountFindingReportsRow,
    CountFindingsOpenRow,
    FindingsAtRow,
    FindingsByScannerRow,
    FindingsCountedRow,
    FindingsMovedFromImageRow,
    FindingsNeededRow,
    FindingsNowRow,
    FindingsOfImageRow,
    FindingsOpenRow,
    FindingsStaleRow,
    ScannerReportsRow,
    VersionsOfImagesRow,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFinding:
    """A finding as it is stored, at the moment asked about."""

    account_id: str
    product: str
    uid: str
    check_id: str
    severity: int
    result: str
    closed: str
    """Empty, `stated` or `absent`."""
    suppressed: bool
    vulnerability: bool
    region: str
    instance_id: str
    image_digest: str
    application_id: str
    first_seen: str
    last_seen: str
    """When its scanner stated or confirmed it last."""
    reported_at: str
    """When its scanner reported about the account last."""
    since: str
    """Since when it has had this result, or has been closed."""
    reopened: int
    ledger_index: int
    body: Mapping[str, Any]

    @property
    def cursor(self) -> tuple[str, str, str]:
        return self.account_id, self.product, self.uid


def stored(row: FindingsAtRow | FindingsOfImageRow) -> StoredFinding:
    """Return a finding from its row."""
    confirmed = row["complete_at"] if row["closed"] != ABSENT else None
    last_seen = max(row["observed_at"], row["seen_at"] or "", confirmed or "")
    return StoredFinding(
        account_id=row["account_id"],
        product=row["product"],
        uid=row["uid"],
        check_id=row["check_id"],
        severity=row["severity"],
        result=row["result"],
        closed=row["closed"],
        suppressed=bool(row["suppressed"]),
        vulnerability=bool(row["vulnerability"]),
        region=row["region"],
        instance_id=row["instance_id"],
        image_digest=row["image_digest"],
        application_id=row["application_id"],
        first_seen=row["first_seen"],
        last_seen=last_seen,
        reported_at=max(row["reported_at"] or "", last_seen),
        since=row["since"],
        reopened=max(0, row["opened"] - 1),
        ledger_index=row["ledger_index"],
        body=msgspec.json.decode(row["body"]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingOfImage:
    """A finding about an image, and the entries that its state rests on."""

    finding: StoredFinding
    entries: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedFinding:
    """An entry after which a finding was about an image no more."""

    account_id: str
    ledger_index: int


def findings_of_image(rows: Sequence[FindingsOfImageRow]) -> list[FindingOfImage]:
    """Return the findings about an image."""
    return [FindingOfImage(finding=stored(row), entries=_entries(row)) for row in rows]


def _entries(row: FindingsOfImageRow) -> tuple[int, ...]:
    further = (row["before_index"], row["seen_index"], row["complete_index"], row["report_index"])
    return (row["ledger_index"], *(one for one in further if one is not None))


def moved_findings(rows: Sequence[FindingsMovedFromImageRow]) -> list[MovedFinding]:
    return [MovedFinding(account_id=row["account_id"], ledger_index=row["ledger_index"]) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFinding:
    """What is known of a finding that is stated again."""

    last_seen: str
    """When it was stated or confirmed last, or found to be absent: what is older does not count."""
    stated: tuple[object, ...]

    def states_the_same(self, wire: Mapping[str, Any]) -> bool:
        """Return whether a finding states what is stored of it, whenever it was seen."""
        return self.stated == (
            wire["check_id"], wire["severity"], wire["result"], STATED if wire.get("closed") else "",
            int(wire.get("suppressed", False)), int(wire.get("vulnerability", False)), wire.get("region", ""),
            wire.get("instance_id", ""), wire.get("image_digest", ""), wire.get("application_id", ""), body_of(wire),
        )  # fmt: skip


def known_findings(rows: Sequence[FindingsNowRow]) -> dict[str, KnownFinding]:
    """Return what is known of findings, by their ids."""
    return {row["uid"]: _known(row) for row in rows}


def _known(row: FindingsNowRow) -> KnownFinding:
    absent = row["since"] if row["closed"] == ABSENT else ""
    return KnownFinding(
        last_seen=max(row["observed_at"], row["seen_at"] or "", row["complete_at"] or "", absent),
        stated=(
            row["check_id"], row["severity"], row["result"], row["closed"], row["suppressed"], row["vulnerability"],
            row["region"], row["instance_id"], row["image_digest"], row["application_id"], row["body"],
        ),
    )  # fmt: skip


def counted(rows: Sequence[FindingsCountedRow]) -> int:
    """Return the number of findings of an account."""
    return rows[0]["n"]


def open_uids(rows: Sequence[FindingsOpenRow]) -> list[str]:
    """Return the ids of findings that a complete report should have had."""
    return [row["uid"] for row in rows]


def completed_at(rows: Sequence[CompleteReportRow]) -> str:
    """Return the time of a scanner's newest complete report; empty if there is none."""
    return rows[0]["observed_at"] or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionOfImage:
    """A version that an image was pushed as, or seen as. `account_id` is `push` for the former."""

    application_id: str
    version: str
    account_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineOf:
    """An instance's account and application; the latter may be empty."""

    account_id: str
    application_id: str


def versions_by_digest(rows: Sequence[VersionsOfImagesRow]) -> dict[str, list[VersionOfImage]]:
    """Return the versions that images are, by digest."""
    found: dict[str, list[VersionOfImage]] = {}
    for row in rows:
        one = VersionOfImage(
            application_id=row["application_id"], version=row["version"], account_id=row["account_id"]
        )  # fmt: skip
        found.setdefault(row["digest"], []).append(one)
    return found


def machines_by_id(rows: Sequence[ApplicationsOfInstancesRow]) -> dict[str, MachineOf]:
    """Return instances by id."""
    return {
        row["instance_id"]: MachineOf(account_id=row["account_id"], application_id=row["application_id"])
        for row in rows
    }


def accounts_by_application(rows: Sequence[AccountsOfApplicationsRow]) -> dict[str, frozenset[str]]:
    """Return the accounts in which applications were seen running."""
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["application_id"], set()).add(row["account_id"])
    return {name: frozenset(accounts) for name, accounts in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTimes:
    """When a scanner reported about an account last, and completely; the latter may be empty."""

    reported_at: str
    complete_at: str


def report_times(rows: Sequence[ScannerReportsRow]) -> dict[tuple[str, str], ReportTimes]:
    """Return the times of reports, by account and product."""
    return {
        (row["account_id"], row["product"]): ReportTimes(
            reported_at=row["observed_at"], complete_at=row["complete_at"] or ""
        )
        for row in rows
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedFinding:
    """How many findings of a scanner state the same. `confirmed`: whether it stated them within its interval."""

    account_id: str
    product: str
    result: str
    closed: bool
    suppressed: bool
    confirmed: bool
    count: int


def counted_findings(rows: Sequence[FindingsByScannerRow]) -> list[CountedFinding]:
    return [
        CountedFinding(
            account_id=row["account_id"], product=row["product"], result=row["result"], closed=bool(row["closed"]),
            suppressed=bool(row["suppressed"]), confirmed=bool(row["confirmed"]), count=row["n"],
        )
        for row in rows
    ]  # fmt: skip


def counts_by_product(rows: Sequence[CountFindingReportsRow | CountFindingsOpenRow]) -> dict[str, int]:
    return {row["product"]: row["n"] for row in rows}


def needed_entries(rows: Sequence[FindingsNeededRow]) -> set[int]:
    """Return the entries that rows still rest on."""
    return {row["ledger_index"] for row in rows}


def some_stale(rows: Sequence[FindingsStaleRow]) -> bool:
    """Return whether there is any finding that can go."""
    return bool(rows)
