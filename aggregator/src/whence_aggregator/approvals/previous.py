"""Which version of an application came before another one: the commits since then are what its approvals are of. Pure.

It is the newest version, of another name and another digest, that was recorded before this one and whose commit is
known. Those that the owner or a registry stated come first: any instance may state a version. Where nobody registered
one, those count that instances of the same account stated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

from whence_aggregator.approvals.values import SeenDigest, Version

VERSIONS_MAX = 20
"""The newest versions before one that are looked at."""
Commits = Mapping[str, Sequence[str]]
"""The different commits that were stated for images, by digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousVersion:
    """The version before another one. `commit_id` is empty if there is none, or if no commit is known."""

    version: str = ""
    digest: str = ""
    commit_id: str = ""
    unread: str = ""
    """A newer version before this one whose commit is not known, or not yet; empty: there is none."""

    @property
    def exists(self) -> bool:
        return bool(self.version or self.unread)


NO_PREVIOUS = PreviousVersion()


def recorded_at(version: Version, digests: Set[str], account_id: str) -> int | None:
    """Return the entry that bound a version to digests first: by its owner or a registry, else by the account."""
    own = [one for one in version.digests if one.digest in digests]
    stated = [one for one in own if one.said_by == account_id and not one.registered]
    counted = [one for one in own if one.registered] or stated or own
    return min((one.ledger_index for one in counted), default=None)


def previous_of(
    registered: Sequence[Version], stated: Sequence[Version], *, past: int, digests: Set[str], account_id: str,
    commits: Commits,
) -> PreviousVersion:  # fmt: skip
    """Return the version before one that was recorded by the entry `past`.

    `registered` and `stated` are the versions before it that its owner, and instances of the account, stated; `digests`
    are its own.
    """
    found = _before(registered, past, digests, lambda one: one.registered)
    found = found or _before(stated, past, digests, lambda one: one.said_by == account_id)
    unread = ""
    for version, seen in found:
        named = commits.get(seen.digest) or _of_others(version, account_id, commits)
        if len(named) == 1:
            return PreviousVersion(version=version.version, digest=seen.digest, commit_id=named[0], unread=unread)
        unread = unread or version.version
    return PreviousVersion(unread=unread)


def _of_others(version: Version, account_id: str, commits: Commits) -> Sequence[str]:
    """Return the commits of a version's other digests: an index is registered, and one of its images runs."""
    own = [one.digest for one in version.digests if one.registered or one.said_by == account_id]
    return list(dict.fromkeys(commit for digest in own for commit in commits.get(digest, ())))


def _before(
    versions: Sequence[Version], past: int, digests: Set[str], counts: Callable[[SeenDigest], bool]
) -> list[tuple[Version, SeenDigest]]:
    """Return the digests of versions that were recorded before an entry, the newest first."""
    found = [
        (version, one)
        for version in versions
        for one in version.digests
        if one.ledger_index < past and one.digest not in digests and counts(one)
    ]
    return sorted(found, key=lambda one: (-one[1].ledger_index, one[0].version, one[1].digest))
