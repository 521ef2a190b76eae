"""A collector of commits between two commits that knows what a test tells it."""

from __future__ import annotations

from collections.abc import Mapping

from whence_aggregator.changes.ranges import CommitRange, SourceCommit, unknown


class KnownRanges:
    """Answers from ranges by the two commit ids, in either direction; every other one was not collected."""

    def __init__(self, ranges: Mapping[tuple[str, str], CommitRange]) -> None:
        self._ranges = ranges

    async def between(self, a: SourceCommit, b: SourceCommit, *, commits_max: int) -> CommitRange:
        found = self._ranges.get((a.commit_id, b.commit_id))
        if found is None and (other := self._ranges.get((b.commit_id, a.commit_id))) is not None:
            found = other.mirrored()
        return found if found is not None else unknown("not collected: the collector was not asked")
