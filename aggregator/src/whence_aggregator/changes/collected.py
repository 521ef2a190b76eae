"""Commits between two commits, as the collector of ranges keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from whence_aggregator.changes.ranges import CommitRange, RangeCommit, SourceCommit, unknown
from whence_common.scm_source import RepositoryInvalid, SourceRepository


class KeptCommit(Protocol):
    """A commit of a range."""

    @property
    def commit(self) -> str: ...
    @property
    def author(self) -> str: ...
    @property
    def committed_at(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def parents(self) -> tuple[str, ...]: ...


class KeptSide(Protocol):
    """The commits of one direction, newest first."""

    @property
    def count(self) -> int: ...
    @property
    def counted_whole(self) -> bool: ...
    @property
    def commits(self) -> Sequence[KeptCommit]: ...


class KeptRange(Protocol):
    """What is known of the commits between two: `ahead` are those that only the head contains."""

    @property
    def ahead(self) -> KeptSide | None: ...
    @property
    def behind(self) -> KeptSide | None: ...
    @property
    def reason(self) -> str: ...
    @property
    def due_at(self) -> str: ...


class RangesKept(Protocol):
    """Reads kept ranges."""

    async def want(self, repository: SourceRepository, base: str, head: str, *, commits_max: int) -> KeptRange:
        """Return what is known, with so many commits of each side; a range that was never collected will be."""

    async def read(self, repository: SourceRepository, base: str, head: str, *, commits_max: int) -> KeptRange:
        """Return what is known, with so many commits of each side."""


class CollectedRanges:
    """Answers from kept ranges, in either direction. What is not kept is collected, once."""

    def __init__(self, kept: RangesKept) -> None:
        self._kept = kept

    async def between(self, a: SourceCommit, b: SourceCommit, *, commits_max: int) -> CommitRange:
        """Return the range; `unknown` with a reason while it is not collected."""
        try:
            repository = SourceRepository.parse(a.repository)
        except RepositoryInvalid as exc:
            return unknown(exc.message)
        backward = _range(await self._kept.read(repository, b.commit_id, a.commit_id, commits_max=commits_max))
        if backward.state == "found":
            return backward.mirrored()
        return _range(await self._kept.want(repository, a.commit_id, b.commit_id, commits_max=commits_max))


def _range(known: KeptRange) -> CommitRange:
    """Return a kept range; `b` is its head."""
    if known.ahead is None or known.behind is None:
        return unknown(known.reason or "one of the commits is not in the repository", due_at=known.due_at or None)
    sides = (known.behind, known.ahead)
    return CommitRange(
        state="found",
        only_a=_commits(known.behind),
        only_b=_commits(known.ahead),
        cut=any(not one.counted_whole or one.count > len(one.commits) for one in sides),
    )


def _commits(side: KeptSide) -> tuple[RangeCommit, ...]:
    return tuple(
        RangeCommit(
            commit_id=one.commit, author=one.author, committed_at=one.committed_at, message=one.message,
            parents=one.parents,
        )
        for one in side.commits
    )  # fmt: skip
