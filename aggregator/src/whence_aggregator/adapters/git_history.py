"""What a repository's branches and tags reach, from the histories that are fetched into a repository of ours."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from whence_aggregator.adapters.git_clone import FETCH, GitClone
from whence_aggregator.adapters.git_process import GitTooSlow
from whence_aggregator.ports import BranchAnswer, ProtectedNames, SourceUnavailable
from whence_common.clock import to_instant
from whence_common.identifiers import COMMIT_ID

REFS_MAX = 200
"""Protected branches and tags of one repository that are read."""
WHOLE = "--depth=2147483647"
"""Infinite (git-fetch(1)): only with a depth does a server say that its own history is cut off."""
_FIRST_DEPTHS = ("--depth=100", "--depth=2000", WHOLE)
"""How deep a history is read before the whole is; most commits that run are recent."""
BRANCHES, TAGS = "refs/heads/", "refs/tags/"
_NAME = re.compile(r"refs/(?:heads|tags)/[^\x00-\x20\x7f~^:?*\[\\]{1,250}\Z")
_NO_DEFAULT = "the repository has no default branch: its HEAD names "


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Patterns of the names of a server's protected branches and tags; the default branch is always one of them."""

    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    def covers(self, name: str) -> bool:
        for prefix, patterns in ((BRANCHES, self.branches), (TAGS, self.tags)):
            short = name.removeprefix(prefix)
            if short != name and any(fnmatchcase(short, one) for one in patterns):
                return True
        return False

    def and_of(self, names: ProtectedNames) -> Protection:
        """Return this protection with other names, each once."""
        branches, tags = (dict.fromkeys(one) for one in ((*self.branches, *names.branches), (*self.tags, *names.tags)))
        return Protection(branches=tuple(branches), tags=tuple(tags))

    @property
    def asked(self) -> tuple[str, ...]:
        """Return the patterns for `git ls-remote`."""
        return (*(BRANCHES + one for one in self.branches), *(TAGS + one for one in self.tags))


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertised:
    """The default branch and the other protected refs of a repository, with the objects that they name now."""

    default: str = ""
    """Empty: there is none; `reason` states why."""
    refs: tuple[tuple[str, str], ...] = ()
    """Full names and ids; the default branch first."""
    reason: str = ""
    left_out: int = 0
    """Protected refs above REFS_MAX, which are not read."""

    @property
    def head(self) -> str:
        return next((commit for name, commit in self.refs if name == self.default), "")


async def advertised(clone: GitClone, protection: Protection, wanted: str) -> Advertised:
    """Ask the server, because of the commit `wanted`.

    A detached HEAD names no branch; a HEAD of a branch without commits is not sent.
    """
    status, output, error = await clone.ask(
        "ls-remote", "--quiet", "--symref", "--", "origin", "HEAD", *protection.asked
    )
    if status != 0:
        raise clone.refused(error)
    if not output.strip():
        await _refuse_dumb(clone, wanted)
    branch, head, refs = "", "", dict[str, str]()
    for line in output.decode("utf-8", "replace").splitlines():
        value, _, name = line.partition("\t")
        if name == "HEAD" and value.startswith("ref: "):
            branch = value.removeprefix("ref: ")
        elif name == "HEAD" and COMMIT_ID.match(value):
            head = value
        elif COMMIT_ID.match(value) and _NAME.match(name) and protection.covers(name):
            refs[name] = value
    if not head:
        return Advertised(reason=_NO_DEFAULT + "no branch with commits")
    if not branch.startswith(BRANCHES) or not _NAME.match(branch):
        return Advertised(reason=_NO_DEFAULT + "a commit, not a branch")
    refs.pop(branch, None)
    others = sorted(refs.items())
    return Advertised(
        default=branch,
        refs=((branch, head), *others[: REFS_MAX - 1]),
        left_out=max(len(others) - (REFS_MAX - 1), 0),
    )


async def _refuse_dumb(clone: GitClone, wanted: str) -> None:
    """Raise SourceUnavailable if the server is no Git server: git takes any page for a list of refs, an empty one.

    A depth is what that older protocol, files over HTTP, cannot have.
    """
    _, _, error = await clone.ask(*FETCH, "--depth=1", "--", "origin", wanted)
    if "dumb http" in error:
        raise SourceUnavailable(
            "git-no-server", f"{clone.url}: the answer is not that of a Git server",
            fix="check that the host serves Git by smart HTTP, and that no sign-in page is in its place",
        )  # fmt: skip


async def reaching(clone: GitClone, known: Advertised, commit_id: str) -> BranchAnswer:
    """Return which of the refs reach a commit; fetch the newest commits first.

    A ref that was found to reach the commit does, at any depth. That none does is right only when the whole history was
    fetched. A commit that is not in the histories is not on them: nothing is fetched by its id here, because servers
    return commits of forks, which no branch of the repository reaches.
    """
    branch = known.default.removeprefix(BRANCHES)
    answer = BranchAnswer(branch=branch, commit_id=known.head)
    for depth in await _depths(clone, known):
        try:
            reason = await fetched(clone, known, depth)
        except GitTooSlow:
            if depth == _FIRST_DEPTHS[0]:
                raise
            reason = f"it took over {clone.seconds_max:g} seconds"
        if reason:
            return replace(answer, reason=f"not all of the history of {branch} was read: {reason}")
        newest = (await clone.git("rev-parse", local_name(known.default))).decode("ascii", "replace").strip()
        answer = replace(answer, commit_id=newest)  # the branch may have moved meanwhile
        found = await _containing(clone, known, commit_id)
        if found:
            parents_at = await _parents_at(clone, commit_id)
            return replace(answer, reachable=True, reached_by=found, parents_at=parents_at)
        if not clone.is_shallow():
            if known.left_out:
                return replace(answer, reason=f"{known.left_out} protected branches and tags were not read")
            return replace(answer, reachable=False)
    return replace(answer, reason=f"the server's history of {branch} is incomplete: it is a shallow clone")


async def fetched(clone: GitClone, known: Advertised, depth: str | None) -> str:
    """Fetch the refs; return why not all of their history was read, or nothing. Raises SourceUnavailable.

    `depth`: an option of git fetch; empty: as deep as before; None: nothing is new, so nothing is fetched.
    """
    if depth is None:
        return ""
    deepen = [depth] if depth else []
    names = [f"+{name}:{local_name(name)}" for name, _ in known.refs]
    status, _, error = await clone.ask(*FETCH, *deepen, "--", "origin", *names)
    if status != 0 and clone.has_full_file():
        return f"it is larger than {clone.file_mib_max} MiB"
    if status != 0:
        raise clone.refused(error)
    return ""


async def _depths(clone: GitClone, known: Advertised) -> Sequence[str | None]:
    """Return the steps in which the history is fetched; fewer, if a kept repository has some of it."""
    output = await clone.git("for-each-ref", "--format=%(objectname) %(refname)", "refs/whence/")
    kept = set(output.decode("ascii", "replace").splitlines())
    if not kept:
        return _FIRST_DEPTHS
    new = any(f"{value} {local_name(name)}" not in kept for name, value in known.refs)
    if clone.is_shallow():
        return ("" if new else None, *_FIRST_DEPTHS[1:])
    return (WHOLE if new else None,)


async def _containing(clone: GitClone, known: Advertised, commit_id: str) -> tuple[str, ...]:
    """Return the names of the refs that reach a commit, without `refs/`."""
    if not await clone.has_commit(commit_id):
        return ()  # the commit is in none of the histories that were fetched
    names = {local_name(name): name.removeprefix("refs/") for name, _ in known.refs}
    asked = ("for-each-ref", f"--contains={commit_id}", "--format=%(refname)", *names)
    found = set((await clone.git(*asked)).decode("utf-8", "replace").split())
    return tuple(name for local, name in names.items() if local in found)


async def _parents_at(clone: GitClone, commit_id: str) -> str:
    """Return the newest committer's time of a commit's parents; empty if it has none, or the history is cut off there.

    `git log` shows a commit and then the newest of its parents.
    """
    output = await clone.git("log", "-1", "--skip=1", "--no-show-signature", "--format=%ct", commit_id, "--")
    try:
        return to_instant(datetime.fromtimestamp(int(output), UTC))
    except (ValueError, OverflowError, OSError):
        return ""


def local_name(name: str) -> str:
    """Return the name of a server's ref in a repository of ours. Hashed, so that no two names exclude each other."""
    return f"refs/whence/{hashlib.sha256(name.encode()).hexdigest()[:32]}"
