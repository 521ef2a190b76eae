"""The commits between two commits of a repository, in the order of `git log`: counted, and the first of them read."""

from __future__ import annotations

from dataclasses import dataclass

from whence_aggregator.adapters.git_clone import FETCH, GitClone, GitFailed
from whence_aggregator.adapters.git_history import WHOLE
from whence_aggregator.adapters.git_objects import read_commits
from whence_aggregator.adapters.git_process import GitTooSlow
from whence_aggregator.ports_commits import RangeAnswer, RangeSide

_LISTED_BYTES_MAX = 32 * 1024 * 1024
_NOT_SENT = "promisor remote"
"""Without blobs and trees a repository of ours is partial, so Git notices only now that a commit was not sent."""
_NO_SUCH_COMMIT = "not our ref"
_ONLY_ADVERTISED = ("Server does not allow request", "unadvertised object")


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeBounds:
    """How many commits of one direction are counted, and how many are kept."""

    counted_max: int = 100_000
    kept_max: int = 2_000


async def between(clone: GitClone, ends: tuple[str, str], bounds: RangeBounds) -> RangeAnswer:
    """Return the commits between base and head, the two `ends`; fetch the history before both, unless it is there.

    Raises SourceUnavailable.
    """
    base, head = ends
    wanted = list(dict.fromkeys(ends))
    lacking = await clone.lacking(wanted)
    if lacking or clone.is_shallow():
        reason = await _fetched(clone, lacking or wanted)
        if reason:
            return RangeAnswer(reason=f"not all of the history was read: {reason}")
        lacking = await clone.lacking(wanted)
    if lacking:
        missing = tuple(lacking)
        return RangeAnswer(missing=missing, reason=f"the server does not have {' and '.join(missing)}")
    if clone.is_shallow():
        return RangeAnswer(reason="the server's history is incomplete: it is a shallow clone")
    behind, ahead = await _sides(clone, ends, bounds)
    common = base if behind.count == 0 else head if ahead.count == 0 else await _merge_base(clone, ends)
    objects = await read_commits(clone, [*ahead.commits, *behind.commits])
    return RangeAnswer(merge_base=common, ahead=ahead, behind=behind, objects=objects)


async def _fetched(clone: GitClone, wanted: list[str]) -> str:
    """Have the repository of ours hold the commits with all before them; return why it does not, or nothing.

    Each is kept by a ref, from which the next fetch goes on. A commit of a fork comes too, if the server returns it: a
    range says what is between two commits, not that a branch reaches them.
    """
    names = [f"+{one}:refs/whence/range/{one}" for one in wanted]
    try:
        status, _, error = await clone.ask(*FETCH, WHOLE, "--", "origin", *names)
    except GitTooSlow:
        return f"it took over {clone.seconds_max:g} seconds"
    if status != 0 and any(sign in error for sign in _ONLY_ADVERTISED):
        status, _, error = await clone.ask(*FETCH, WHOLE, "--", "origin", "+refs/heads/*:refs/whence/all/*")
    if status != 0 and _NO_SUCH_COMMIT in error and len(wanted) > 1:
        for one in wanted:  # the server refuses all if it does not have one
            if reason := await _fetched(clone, [one]):
                return reason
        return ""
    if status == 0 or _NO_SUCH_COMMIT in error:
        return ""
    if clone.has_full_file():
        return f"it is larger than {clone.file_mib_max} MiB"
    raise clone.refused(error)


async def _sides(clone: GitClone, ends: tuple[str, str], bounds: RangeBounds) -> tuple[RangeSide, RangeSide]:
    """Return the commits that only base reaches, and those that only head does."""
    base, head = ends
    most = 2 * bounds.counted_max + 2
    asked = ("rev-list", "--left-right", f"--max-count={most}", f"{base}...{head}", "--")
    try:
        listed = (await clone.git(*asked, bytes_max=_LISTED_BYTES_MAX)).decode("ascii", "replace").split()
    except GitFailed as exc:
        if _NOT_SENT not in exc.message:
            raise
        raise GitFailed(
            "git-incomplete", f"{clone.url}: the server did not send all parents of its commits",
            fix="check that the server's repository is whole: `git fsck`, and that it has no grafts",
        ) from exc  # fmt: skip
    whole = len(listed) < most
    left, right = ([one[1:] for one in listed if one[0] == mark] for mark in "<>")
    return _side(left, bounds, whole), _side(right, bounds, whole)


def _side(commits: list[str], bounds: RangeBounds, whole: bool) -> RangeSide:
    return RangeSide(
        count=min(len(commits), bounds.counted_max),
        commits=tuple(commits[: bounds.kept_max]),
        counted_whole=whole and len(commits) <= bounds.counted_max,
    )


async def _merge_base(clone: GitClone, ends: tuple[str, str]) -> str:
    _, common, _ = await clone.run("merge-base", *ends)
    return common.decode("ascii", "replace").strip()
