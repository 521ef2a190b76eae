"""The commits between two commits of a repository, in the order of `git log`: counted, and the first of them read."""

from __future__ import annotations

from dataclasses import dataclass

from whence_aggregator.adapters.git_clone import FETCH, GitClone
from whence_aggregator.adapters.git_history import Advertised, whole_history
from whence_aggregator.adapters.git_objects import read_commits
from whence_aggregator.ports_commits import RangeAnswer, RangeSide

_LISTED_BYTES_MAX = 16 * 1024 * 1024
_NO_SUCH_COMMIT = "not our ref"


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeBounds:
    """How many commits of one direction are counted, and how many are kept."""

    counted_max: int = 100_000
    kept_max: int = 2_000


async def between(clone: GitClone, known: Advertised, ends: tuple[str, str], bounds: RangeBounds) -> RangeAnswer:
    """Return the commits between base and head, the two `ends`. Raises SourceUnavailable."""
    if known.default:
        reason = await whole_history(clone, known)
        if reason:
            return RangeAnswer(reason=f"not all of the history was read: {reason}")
    missing = [one for one in dict.fromkeys(ends) if not await _fetched(clone, one)]
    if missing:
        return RangeAnswer(missing=tuple(missing), reason=f"the server does not have {' and '.join(missing)}")
    if await clone.is_shallow():
        return RangeAnswer(reason="the server's repository is a shallow clone")
    base, head = ends
    ahead = await _side(clone, f"{base}..{head}", bounds)
    behind = await _side(clone, f"{head}..{base}", bounds)
    _, common, _ = await clone.run("merge-base", base, head)
    objects = await read_commits(clone, [*ahead.commits, *behind.commits])
    return RangeAnswer(
        merge_base=common.decode("ascii", "replace").strip(), ahead=ahead, behind=behind, objects=objects
    )


async def _fetched(clone: GitClone, commit_id: str) -> bool:
    """Return whether the repository of ours holds the commit now: one that no protected ref reaches is fetched."""
    if await clone.has_commit(commit_id):
        return True
    status, _, error = await clone.ask(*FETCH, "--", "origin", commit_id)
    if status == 0:
        return await clone.has_commit(commit_id)
    if _NO_SUCH_COMMIT in error:
        return False
    raise clone.refused(error)


async def _side(clone: GitClone, commits: str, bounds: RangeBounds) -> RangeSide:
    """Return the commits of a direction."""
    most = bounds.counted_max + 1
    output = await clone.git("rev-list", f"--max-count={most}", commits, "--", bytes_max=_LISTED_BYTES_MAX)
    listed = output.decode("ascii", "replace").split()
    return RangeSide(
        count=min(len(listed), bounds.counted_max),
        commits=tuple(listed[: bounds.kept_max]),
        counted_whole=len(listed) <= bounds.counted_max,
    )
