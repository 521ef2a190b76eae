"""How far answers about compliance are covered: each source by account and region, when it was read, and why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.directory_rows import SourceState
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import LISTINGS, ListingsRow
from whence_aggregator.queries.events import TRAIL_COVERAGES, TrailCoveragesRow
from whence_aggregator.queries.query import together
from whence_aggregator.queries.reports import (
    FAILING_QUESTIONS,
    USER_DATA_UNREAD,
    FailingQuestionsRow,
    UserDataUnreadRow,
)
from whence_common.clock import Now, from_millis, parse_instant

SourceKind = Literal[
    "inventory", "user data", "trail", "registries", "Git", "trackers", "AMIs", "organisation", "other"
]
ReadState = Literal["read", "late", "failed", "never"]
"""`late`: the last success is older than three intervals."""
SHOWN_MAX = 50
"""Sources that an answer names; `GET /v1/coverage` lists them all."""
_REASON_CHARACTERS_MAX = 300
_PERMISSION = re.compile(r"\b([a-z][a-z0-9-]{1,30}:[A-Z][A-Za-z]{2,60})\b")
"""An action of AWS, as `ec2:DescribeInstances`: AWS names the missing one in its refusal."""
_DENIED = ("AccessDenied", "UnauthorizedOperation", "not authorized", "AuthFailure", "denies")
_KINDS: dict[str, SourceKind] = {
    "image": "registries", "tag": "registries", "commit": "Git", "commit-branch": "Git", "commit-signature": "Git",
    "commit-range": "Git", "review": "trackers", "ticket": "trackers", "range-tracking": "trackers", "ami": "AMIs",
    "trail-log": "trail", "trail-digest": "trail",
}  # fmt: skip
_ELSEWHERE = frozenset({"inventory", "organisation"})
"""Kinds of tasks whose failures are read from where their results are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCoverage:
    """One source in one place: whether what it states is known."""

    source: SourceKind
    account_id: str = ""
    region: str = ""
    name: str = ""
    """The host, or the source of the organisation."""
    state: ReadState
    read_at: str | None = None
    """The last success; None where there was none, or where it is not kept."""
    failed_at: str | None = None
    reason: str = ""
    count: int = 0
    """How many subjects of the source are not known."""

    @property
    def permission(self) -> str:
        """Return the permission that is missing, as far as the refusal names it."""
        if not any(one in self.reason for one in _DENIED):
            return ""
        named = _PERMISSION.findall(self.reason)
        return str(named[0]) if named else "not named by AWS"

    def to_wire(self, now: datetime) -> dict[str, object]:
        age = (now - parse_instant(self.read_at)).total_seconds() if self.read_at is not None else None
        return {
            "source": self.source, "account_id": self.account_id or None, "region": self.region or None,
            "name": self.name or None, "state": self.state, "read_at": self.read_at, "age_seconds": age,
            "failed_at": self.failed_at, "reason": self.reason[:_REASON_CHARACTERS_MAX] or None,
            "permission": self.permission or None, "count": self.count,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """All sources, at one moment. A source that is not read makes every answer incomplete that it could change."""

    sources: Sequence[SourceCoverage]
    now: datetime

    def shown(self, *, account_id: str | None = None, named: bool = True) -> dict[str, object]:
        """Return what an answer states: about one account, or all. `named`: whether the caller may see them all."""
        missing = [
            one
            for one in self.sources
            if one.state != "read" and (account_id is None or one.account_id in ("", account_id))
        ]
        return {
            "complete": not missing,
            "incomplete_total": len(missing),
            "incomplete": [one.to_wire(self.now) for one in missing[:SHOWN_MAX]] if named else [],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedSources:
    """What the settings have read."""

    accounts: Callable[[], Collection[str]]
    regions: Sequence[str]
    """Of the inventory; none where it is not configured."""
    inventory_seconds: float
    trail: bool
    organisation: Sequence[str]


class CoverageReader:
    """Reads how far each source was read."""

    def __init__(self, *, database: Database, expected: ExpectedSources, now: Now) -> None:
        self._database = database
        self._expected = expected
        self._now = now
        self._directory = OrganisationDirectory(database)

    async def read(self) -> Covered:
        """Return the coverage of all sources. Raises StorageUnavailable."""
        listings, unread, trails, failing = await self._database.fetch_all(
            together(LISTINGS.bind({}), USER_DATA_UNREAD.bind({}), TRAIL_COVERAGES.bind({}), FAILING_QUESTIONS.bind({}))
        )
        now, expected = self._now(), self._expected
        accounts = sorted(expected.accounts())
        found = [
            *_inventory(listings, accounts, expected, now),
            *_user_data(unread),
            *(_trails(trails, accounts) if expected.trail else ()),
            *_organisation(await self._directory.sources(), expected.organisation),
            *_questions(failing),
        ]
        return Covered(sources=found, now=now)


def _inventory(
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


def _user_data(rows: Iterable[UserDataUnreadRow]) -> Iterator[SourceCoverage]:
    for row in rows:
        yield SourceCoverage(
            source="user data", account_id=row["account_id"], region=row["region"], state="failed",
            reason=row["reason"], count=row["n"],
        )  # fmt: skip


def _trails(rows: Iterable[TrailCoveragesRow], accounts: Sequence[str]) -> Iterator[SourceCoverage]:
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


def _organisation(states: Sequence[SourceState], expected: Sequence[str]) -> Iterator[SourceCoverage]:
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


def _questions(rows: Iterable[FailingQuestionsRow]) -> Iterator[SourceCoverage]:
    """Return the sources and hosts whose last answer was a failure."""
    for row in rows:
        if row["kind"] not in _ELSEWHERE:
            yield SourceCoverage(
                source=_KINDS.get(row["kind"], "other"), name=row["host"], state="failed", reason=row["reason"],
                count=row["n"],
            )  # fmt: skip
