"""What rows state of each source: whether it was read, and when. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from whence_aggregator.findings.coverage import ScannerState
from whence_aggregator.organisation.directory_rows import SourceState
from whence_aggregator.queries.collect import ListingsRow
from whence_aggregator.queries.events import TrailCoveragesRow
from whence_aggregator.queries.reports import FailingQuestionsRow, UserDataUnreadRow
from whence_aggregator.reports.coverage import ReadState, SourceCoverage, SourceKind
from whence_aggregator.work.worker import UNLISTED
from whence_common.clock import from_millis, parse_instant

_KINDS: dict[str, SourceKind] = {
    "image-source": "registries", "tag": "registries", "commit": "Git", "commit-branch": "Git",
    "commit-signature": "Git", "commit-range": "Git", "review": "trackers", "ticket": "trackers",
    "range-tracking": "trackers", "ami": "AMIs", "trail-log": "trail", "trail-digest": "trail",
}  # fmt: skip
_ELSEWHERE = frozenset({"inventory", "organisation"})
"""Kinds of tasks whose failures are read from where their results are."""
_OF_EC2 = "ec2/"
_EVERY = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedSources:
    """What the settings have read."""

    accounts: Callable[[], Collection[str]]
    regions: Sequence[str]
    """Of the inventory; none where it is not configured."""
    inventory_seconds: float
    trail: bool
    organisation: Sequence[str]
    scanners: Sequence[str] = ()
    """Products that the settings name; one that they do not name makes no answer incomplete."""


def of_inventory(
    rows: Iterable[ListingsRow], accounts: Sequence[str], expected: ExpectedSources, now: datetime
) -> Iterator[SourceCoverage]:
    listed = {(row["account_id"], row["region"]): row for row in rows}
    places = {(account, region) for account in accounts for region in expected.regions} if expected.regions else set()
    for account, region in sorted(places):
        row = listed.get((account, region))
        read_at = from_millis(row["listed_at"]) if row is not None and row["listed_at"] is not None else None
        failed_at = from_millis(row["failed_at"]) if row is not None and row["failed_at"] is not None else None
        late = read_at is not None and (now - parse_instant(read_at)).total_seconds() > 3 * expected.inventory_seconds
        state: ReadState = (
            "failed" if failed_at is not None else "never" if read_at is None else "late" if late else "read"
        )
        reason = row["failure"] if row is not None and failed_at is not None else ""
        yield SourceCoverage(
            source="inventory", account_id=account, region=region, state=state, read_at=read_at, failed_at=failed_at,
            reason=reason,
        )  # fmt: skip


def of_user_data(rows: Iterable[UserDataUnreadRow]) -> Iterator[SourceCoverage]:
    for row in rows:
        yield SourceCoverage(
            source="user data", account_id=row["account_id"], region=row["region"], state="failed",
            reason=row["reason"], count=row["n"],
        )  # fmt: skip


def of_trails(rows: Iterable[TrailCoveragesRow], accounts: Sequence[str]) -> Iterator[SourceCoverage]:
    seen = set()
    for row in rows:
        seen.add(row["account_id"])
        yield SourceCoverage(
            source="trail", account_id=row["account_id"], region=row["region"],
            state="failed" if row["failed_at"] is not None else "read",
            read_at=from_millis(row["read_at"]) if row["read_at"] is not None else None,
            failed_at=from_millis(row["failed_at"]) if row["failed_at"] is not None else None, reason=row["failure"],
        )  # fmt: skip
    for account in accounts:
        if account not in seen:
            yield SourceCoverage(source="trail", account_id=account, state="never", reason="no log file was read")


def of_organisation(states: Sequence[SourceState], expected: Sequence[str]) -> Iterator[SourceCoverage]:
    by_source = {one.source: one for one in states}
    for name in expected:
        one = by_source.get(name)
        read_at = one.read_at if one is not None else None
        failed = one is not None and one.failed_at is not None
        yield SourceCoverage(
            source="organisation", name=name, state="failed" if failed else "never" if read_at is None else "read",
            read_at=read_at, failed_at=one.failed_at if one is not None else None,
            reason=one.failure if one is not None and failed else "",
        )  # fmt: skip


def of_questions(rows: Iterable[FailingQuestionsRow]) -> Iterator[SourceCoverage]:
    """Yield the sources and hosts whose last answer was a failure; AMIs by account and region."""
    for row in rows:
        if row["kind"] in _ELSEWHERE or row["host"] == UNLISTED:
            continue  # a host that the settings do not name is no source: what rests on it is unknown by its verdicts
        source, host = _KINDS.get(row["kind"], "other"), row["host"]
        account, region, name = _EVERY, _EVERY, host
        if host.startswith(_OF_EC2):
            account, _, region = host.removeprefix(_OF_EC2).partition("/")
            name = ""
        yield SourceCoverage(
            source=source, account_id=account, region=region, name=name, state="failed", reason=row["reason"],
            count=row["n"],
        )  # fmt: skip


def of_scanners(states: Sequence[ScannerState], named: Collection[str]) -> Iterator[SourceCoverage]:
    """Yield how the scanners of the settings report. One that reports about no account is expected about none."""
    without_account = {one.product for one in states if not one.account_id}
    for one in states:
        never = one.state == "never"
        if one.product not in named or (never and one.product in without_account):
            continue
        state: ReadState = "never" if never else "late" if one.state == "late" else "read"
        yield SourceCoverage(
            source="scanners", account_id=one.account_id, name=one.product, state=state,
            read_at=one.reported_at or None,
            reason="" if state == "read" else f"it is expected every {one.interval_seconds / 3600:g} h",
        )  # fmt: skip
