"""Collectors of commits: their objects, what reaches them, their signatures, and the commits between two."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from whence_aggregator.collect.commit_object import commit_value
from whence_aggregator.ports import CollectedFact, CommitReader
from whence_aggregator.ports_commits import RangeReader, RangeSide, SignatureReader
from whence_common.errors import one_line
from whence_common.identifiers import COMMIT_ID
from whence_common.scm_source import RepositoryInvalid, SourceRepository

_RANGE = re.compile(r"(?P<base>[0-9a-f]{40}|[0-9a-f]{64})\.\.(?P<head>[0-9a-f]{40}|[0-9a-f]{64})\Z")


class CommitCollector:
    """Reads commits from Git servers. The subject is `host/path@commit id`."""

    def __init__(self, reader: CommitReader) -> None:
        self._reader = reader

    async def collect(self, subject: str) -> CollectedFact:
        place, commit_id = commit_of(subject)
        read = await self._reader.commit(place, commit_id)
        if read is None:
            return CollectedFact(outcome="missing", reason=f"{place} has no commit {commit_id}", awaited="the commit")
        value = {"repository": str(place), "commit": commit_id, **commit_value(read)}
        return CollectedFact(outcome="found", value=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFinding(CollectedFact):
    """What Git found about a signature. One that was good stays good when its key expires, not when it is revoked."""

    expired: bool = False

    def same_as(self, outcome: str, reason: str, value: Mapping[str, Any]) -> bool:
        if self.expired and value.get("state") == "good" and value.get("key") in ("", self.value["key"]):
            return True
        return (outcome, reason, value) == (self.outcome, self.reason, self.value)


class SignatureCollector:
    """Verifies the signatures of commits. The subject is `host/path@commit id`.

    The value is {state, form, signer, key}: the signer is the principal or user id that the trusted keys name.
    `by_host` is there for a key of the code host itself.
    """

    def __init__(self, reader: SignatureReader) -> None:
        self._reader = reader

    async def collect(self, subject: str) -> CollectedFact:
        place, commit_id = commit_of(subject)
        found = await self._reader.signature(place, commit_id)
        value: dict[str, Any] = {
            "state": found.state, "form": found.form, "signer": found.signer, "key": found.key,
        }  # fmt: skip
        if found.by_host:
            value["by_host"] = True
        return SignatureFinding(outcome="found", value=value, reason=found.reason, expired=found.expired)


class RangeCollector:
    """Reads the commits between two commits. The subject is `host/path@base..head`, with full commit ids.

    The value is {base, head, merge_base, ahead, behind}: `ahead` are the commits of head that base does not have, and
    `behind` those of base; each is {count, counted_whole, commits}, the ids in the order of `git log`, or null with a
    reason. The commits themselves are recorded as facts of kind `commit`.
    """

    def __init__(self, reader: RangeReader) -> None:
        self._reader = reader

    async def collect(self, subject: str) -> CollectedFact:
        place, base, head = range_of(subject)
        found = await self._reader.between(place, base, head)
        value = {
            "base": base, "head": head, "merge_base": found.merge_base, "missing": list(found.missing),
            "ahead": _side(found.ahead), "behind": _side(found.behind),
        }  # fmt: skip
        if found.ahead is None:
            return CollectedFact(
                outcome="missing", value=value, reason=found.reason, awaited="the history between the two"
            )
        commits = [
            CollectedFact(outcome="found", value={"repository": str(place), "commit": name, **commit_value(read)})
            for name, read in found.objects.items()
        ]
        beside = [("commit", f"{place}@{one.value['commit']}", one) for one in commits]
        return CollectedFact(outcome="found", value=value, reason=found.reason, beside=beside)


def range_of(subject: str) -> tuple[SourceRepository, str, str]:
    """Return repository, base and head of `host/path@base..head`. Raises RepositoryInvalid."""
    place, _, commits = subject.rpartition("@")
    match = _RANGE.match(commits)
    if match is None:
        raise RepositoryInvalid("range-malformed", f"{one_line(commits, 140)!r} is not two full commit ids with ..")
    return SourceRepository.parse(place), match["base"], match["head"]


def _side(side: RangeSide | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {"count": side.count, "counted_whole": side.counted_whole, "commits": list(side.commits)}


def commit_of(subject: str) -> tuple[SourceRepository, str]:
    """Return repository and commit id of `host/path@commit id`. Raises RepositoryInvalid."""
    place, _, commit_id = subject.rpartition("@")
    if not COMMIT_ID.match(commit_id):
        raise RepositoryInvalid("commit-malformed", f"{one_line(commit_id, 80)!r} is not a full commit id")
    return SourceRepository.parse(place), commit_id
