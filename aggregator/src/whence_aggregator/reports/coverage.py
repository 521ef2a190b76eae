"""How far answers about compliance are covered: each source by account and region, when it was read, and why not.

Pure. Only sources that could deny an answer make it incomplete: those of accounts and regions that it is not about do
not. A source that several accounts share, as a Git server, counts for each of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from whence_common.clock import parse_instant

SourceKind = Literal[
    "inventory", "user data", "trail", "registries", "Git", "trackers", "AMIs", "organisation", "scanners", "other"
]
ReadState = Literal["read", "late", "failed", "never"]
"""`late`: the last success is older than three intervals, or for a scanner than its own."""
SHOWN_MAX = 50
"""Sources that an answer names; `GET /v1/coverage` lists them all."""
_REASON_CHARACTERS_MAX = 300
_PERMISSION = re.compile(r"\b([a-z][a-z0-9-]{1,30}:[A-Z][A-Za-z]{2,60})\b")
"""An action of AWS, as `ec2:DescribeInstances`: AWS names the missing one in its refusal."""
_DENIED = ("AccessDenied", "UnauthorizedOperation", "not authorized", "AuthFailure", "denies")
_OF_FINDINGS: frozenset[SourceKind] = frozenset({"scanners", "organisation"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCoverage:
    """One source in one place: whether what it states is known."""

    source: SourceKind
    account_id: str = ""
    region: str = ""
    name: str = ""
    """The host, the scanner, or the source of the organisation."""
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
class AskedAbout:
    """What an answer is about; None means any. A filter that is not here excludes no source."""

    account: str | None = None
    region: str | None = None
    instance: str | None = None
    team: str | None = None
    team_as_written: bool = False
    """Only this very name of the team counts, for callers that may read resources of no other."""
    application: str | None = None
    scanner: str | None = None
    findings_alone: bool = False
    """Whether nothing but findings of scanners is in the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The accounts and regions that an answer is about; None means any."""

    accounts: Collection[str] | None = None
    regions: Collection[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """All sources, at one moment. A source that is not read makes every answer incomplete that it could change."""

    sources: Sequence[SourceCoverage]
    now: datetime

    def unread(self, about: AskedAbout, places: Places) -> list[SourceCoverage]:
        """Return the sources that could deny an answer and were not read."""
        return [one for one in self.sources if one.state != "read" and _could_deny(one, about, places)]

    def shown(
        self, about: AskedAbout | None = None, places: Places | None = None, *, named: bool = True
    ) -> dict[str, object]:
        """Return what an answer states. `named`: whether the caller may see which sources there are."""
        missing = self.unread(about or AskedAbout(), places or Places())
        return {
            "complete": not missing,
            "incomplete_total": len(missing),
            "incomplete": [one.to_wire(self.now) for one in missing[:SHOWN_MAX]] if named else [],
        }


def _could_deny(one: SourceCoverage, about: AskedAbout, places: Places) -> bool:
    if about.findings_alone and one.source not in _OF_FINDINGS:
        return False
    if one.source == "scanners" and about.scanner not in (None, one.name):
        return False
    return (
        (not one.account_id or places.accounts is None or one.account_id in places.accounts)
        and (not one.region or places.regions is None or one.region in places.regions)
    )  # fmt: skip
