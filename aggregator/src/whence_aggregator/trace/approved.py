"""What is known about the approvals of the version that an instance runs, by the time asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.approvals.reading import read_versions
from whence_aggregator.approvals.rule import ApprovalPolicy, ReviewEvidence
from whence_aggregator.approvals.values import Version, VersionKey
from whence_aggregator.approvals.version_commits import HEAD_ALONE, VersionCommits
from whence_aggregator.ports import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """The policy, None if none is configured; the version; and the reviews of its commits that were collected."""

    policy: ApprovalPolicy | None = None
    version: Version | None = None
    reviews: Sequence[ReviewEvidence] = ()
    commits: VersionCommits = HEAD_ALONE
    """The commits that came with the version."""


class ApprovalFacts:
    """Reads the versions of statements. Nothing is read where no policy is configured."""

    def __init__(self, *, database: Database, policy: ApprovalPolicy | None) -> None:
        self._database = database
        self._policy = policy

    async def of(
        self, named: Sequence[tuple[str | None, str | None]], teams: Mapping[str, str], *, past: int
    ) -> KnownVersions:
        """Return what is known about applications and versions; `teams` are those of registered applications."""
        keys = sorted({(one, other) for one, other in named if one in teams and other})
        if self._policy is None or not keys:
            return KnownVersions(policy=self._policy, versions={})
        found = await read_versions(
            self._database, [(one or "", other or "") for one, other in keys], teams=teams, past=past
        )
        return KnownVersions(policy=self._policy, versions=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownVersions:
    """Versions by application and version."""

    policy: ApprovalPolicy | None
    versions: Mapping[VersionKey, Version]

    def approved(self, application_id: str | None, version: str | None) -> Approved:
        return Approved(policy=self.policy, version=self.versions.get((application_id or "", version or "")))
