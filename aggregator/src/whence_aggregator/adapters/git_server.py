"""One commit of a Git server, and whether the default branch reaches it: partial fetches into temporary clones."""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from whence_aggregator.adapters.git_process import GitBounds, GitRuns, GitTooSlow
from whence_aggregator.adapters.logins import Logins, NoLogin
from whence_aggregator.ports import BranchAnswer, SourceUnavailable
from whence_common.errors import one_line
from whence_common.identifiers import COMMIT_ID
from whence_common.registry_sign_in import Login
from whence_common.scm_source import SourceRepository

COMMIT_BYTES_MAX = 1024 * 1024
FETCH_SECONDS_MAX = 60.0
FILE_BYTES_MAX = 64 * 1024 * 1024
"""Bounds a server that ignores the filter and sends everything, and the size of a history."""
_DEPTHS = (100, 2_000)
"""Depths to which a branch is read before the whole is read; most commits that run are recent."""
_ANSWERS_KEPT_MAX = 10_000
_NO_SUCH_COMMIT = "not our ref"
_ONLY_ADVERTISED = ("Server does not allow request", "unadvertised object")
_UNAUTHORISED = ("Authentication failed", "could not read Username")
_DENIED = "The requested URL returned error: 403"
_BRANCHES = "refs/heads/"
_BRANCH = re.compile(r"refs/heads/[^\x00-\x20\x7f~^:?*\[\\]{1,250}\Z")
_HEAD = "refs/whence/head"
_FETCH = ("fetch", "--quiet", "--filter=tree:0", "--no-tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clone:
    """An empty bare clone of a repository on a server."""

    repository: SourceRepository
    directory: str
    url: str
    until: float
    """By the loop's clock: the work must end before the lease of its task."""


class GitServerReader:
    """Reads from the configured Git servers only: an image names the address, so it is untrusted."""

    def __init__(
        self,
        *,
        runs: GitRuns,
        plain_http: Mapping[str, bool],
        logins: Mapping[str, Logins],
        seconds_max: float = FETCH_SECONDS_MAX,
        file_bytes_max: int = FILE_BYTES_MAX,
    ) -> None:
        self._runs = runs
        self._plain_http = plain_http
        self._logins = logins
        self._seconds_max = seconds_max
        self._file_bytes_max = file_bytes_max
        self._reached: OrderedDict[tuple[str, str, str], bool] = OrderedDict()
        """Whether one commit reaches another, which does not change."""

    async def commit(self, repository: SourceRepository, commit_id: str) -> bytes | None:
        """Return a commit object; Git itself verifies that the bytes hash to the id. Raises SourceUnavailable."""
        assert COMMIT_ID.match(commit_id)
        async with self._clone(repository) as clone:
            status, _, error = await self._ask(clone, *_FETCH, "--depth=1", "origin", commit_id)
            if status != 0:
                if _NO_SUCH_COMMIT in error:
                    return None
                if not any(sign in error for sign in _ONLY_ADVERTISED):
                    raise _refused(clone, error)
                await self._fetch_every_ref(clone)
            status, kind, _ = await self._run(clone, "cat-file", "-t", commit_id)
            if status != 0 or kind.strip() != b"commit":
                return None  # also for the id of an annotated tag, which git would resolve to its commit
            size = (await self._git(clone, "cat-file", "-s", commit_id)).strip()
            if not size.isdigit() or int(size) > COMMIT_BYTES_MAX:
                raise SourceUnavailable("git-commit-too-large", f"{clone.url}: the commit object is too large")
            return await self._git(clone, "cat-file", "commit", commit_id)

    async def branch(self, repository: SourceRepository, commit_id: str) -> BranchAnswer:
        """Return whether the repository's default branch reaches a commit. Raises SourceUnavailable."""
        assert COMMIT_ID.match(commit_id)
        async with self._clone(repository) as clone:
            head = await self._default_branch(clone)
            if head.branch is None or head.commit_id is None:
                return head
            known = self._reached.get((str(repository), head.commit_id, commit_id), head.commit_id == commit_id or None)
            answer = replace(head, reachable=known) if known is not None else await self._walk(clone, head, commit_id)
            if answer.reachable is not None and answer.commit_id is not None:
                self._reached[str(repository), answer.commit_id, commit_id] = answer.reachable
                if len(self._reached) > _ANSWERS_KEPT_MAX:
                    self._reached.popitem(last=False)
            return answer

    async def _default_branch(self, clone: _Clone) -> BranchAnswer:
        """Return the branch that HEAD names. A detached HEAD names none; a HEAD of an unborn branch is not sent."""
        status, output, error = await self._ask(clone, "ls-remote", "--quiet", "--symref", "origin", "HEAD")
        if status != 0:
            raise _refused(clone, error)
        branch, head = None, None
        for line in output.decode("utf-8", "replace").splitlines():
            value, _, name = line.partition("\t")
            if name == "HEAD" and value.startswith("ref: "):
                branch = value.removeprefix("ref: ")
            elif name == "HEAD" and COMMIT_ID.match(value):
                head = value
        if head is None:
            return BranchAnswer(reason="the repository has no default branch: its HEAD names no branch with commits")
        if branch is None or not _BRANCH.match(branch):
            return BranchAnswer(reason="the repository has no default branch: its HEAD names a commit, not a branch")
        return BranchAnswer(branch=branch.removeprefix(_BRANCHES), commit_id=head)

    async def _walk(self, clone: _Clone, head: BranchAnswer, commit_id: str) -> BranchAnswer:
        """Return whether the branch reaches the commit; fetch the newest commits first.

        A walk that finds the commit is right at any depth. One that does not find it is right only when the whole
        history was fetched.
        """
        for depth in (*_DEPTHS, None):
            deepen = [f"--depth={depth}"] if depth is not None else ["--unshallow"]
            try:
                refspec = f"+{_BRANCHES}{head.branch}:{_HEAD}"
                status, _, error = await self._ask(clone, *_FETCH, *deepen, "origin", refspec)
            except GitTooSlow:
                if depth == _DEPTHS[0]:
                    raise
                took = f"it took over {self._seconds_max:g} seconds"
                return replace(head, reason=f"not all of the history of {head.branch} was read: {took}")
            if status != 0 and self._has_full_file(clone):
                size = f"{self._file_bytes_max >> 20} MiB"
                return replace(
                    head, reason=f"not all of the history of {head.branch} was read: it is larger than {size}"
                )
            if status != 0:
                raise _refused(clone, error)
            newest = (await self._git(clone, "rev-parse", _HEAD)).decode("ascii", "replace").strip()
            head = replace(head, commit_id=newest)  # the branch may have moved meanwhile
            if await self._is_ancestor(clone, commit_id, newest):
                return replace(head, reachable=True)
            if not await self._is_shallow(clone):
                return replace(head, reachable=False)
        return replace(head, reason=f"the server's history of {head.branch} is incomplete: it is a shallow clone")

    async def _is_shallow(self, clone: _Clone) -> bool:
        return (await self._git(clone, "rev-parse", "--is-shallow-repository")).strip() != b"false"

    def _has_full_file(self, clone: _Clone) -> bool:
        """Return whether a pack reached the bound: git reports only that index-pack failed."""
        packs = Path(clone.directory, "objects", "pack").glob("tmp_*")
        return any(one.stat().st_size >= self._file_bytes_max for one in packs)

    async def _is_ancestor(self, clone: _Clone, commit_id: str, head: str) -> bool:
        if (await self._run(clone, "cat-file", "-e", f"{commit_id}^{{commit}}"))[0] != 0:
            return False
        status, _, error = await self._run(clone, "merge-base", "--is-ancestor", commit_id, head)
        if status not in (0, 1):
            raise SourceUnavailable("git-failed", f"git merge-base: {one_line(error, 200)}")
        return status == 0

    async def _fetch_every_ref(self, clone: _Clone) -> None:
        """Fetch all advertised commits, for a server that sends no others."""
        status, _, error = await self._ask(clone, *_FETCH, "origin", "+refs/*:refs/whence/all/*")
        if status != 0:
            raise _refused(clone, error)
        if await self._is_shallow(clone):
            raise SourceUnavailable("git-shallow", f"{clone.url}: the server's repository is a shallow clone")

    @asynccontextmanager
    async def _clone(self, repository: SourceRepository) -> AsyncIterator[_Clone]:
        if repository.host not in self._plain_http:
            raise SourceUnavailable(
                "git-not-configured", f"{repository.host} is not in `git_servers` of the aggregator's settings"
            )
        scheme = "http" if self._plain_http[repository.host] else "https"
        url = f"{scheme}://{repository.host}/{repository.path}.git"
        with tempfile.TemporaryDirectory(prefix="whence-git-", ignore_cleanup_errors=True) as directory:
            clone = _Clone(
                repository=repository,
                directory=directory,
                url=url,
                until=asyncio.get_running_loop().time() + 3 * self._seconds_max,
            )
            await self._git(clone, "init", "--quiet", "--bare", ".")
            await self._git(clone, "remote", "add", "origin", url)
            yield clone

    async def _git(self, clone: _Clone, *arguments: str) -> bytes:
        status, output, error = await self._run(clone, *arguments)
        if status != 0:
            raise SourceUnavailable("git-failed", f"git {arguments[0]}: {one_line(error, 200)}")
        return output

    async def _ask(self, clone: _Clone, *arguments: str) -> tuple[int, bytes, str]:
        """Run a git command that contacts the server, with the login. Raises SourceUnavailable when it is refused."""
        host = clone.repository.host
        logins = self._logins.get(host) or NoLogin(host)
        login = await logins.login(clone.repository.path)
        status, output, error = await self._run(clone, *arguments, login=login)
        if status != 0 and any(sign in error for sign in _UNAUTHORISED):
            raise logins.refused(login)
        if status != 0 and _DENIED in error:
            raise SourceUnavailable("git-denied", f"{clone.url}: HTTP 403", fix=f"let the login for {host} read it")
        return status, output, error

    async def _run(self, clone: _Clone, *arguments: str, login: Login | None = None) -> tuple[int, bytes, str]:
        left = clone.until - asyncio.get_running_loop().time()
        bounds = GitBounds(seconds_max=min(self._seconds_max, max(left, 1.0)), file_bytes_max=self._file_bytes_max)
        try:
            return await self._runs.run(clone.directory, *arguments, bounds=bounds, login=login)
        except GitTooSlow as exc:
            raise GitTooSlow(exc.code, f"{clone.url}: {exc.message}") from exc


def _refused(clone: _Clone, error: str) -> SourceUnavailable:
    return SourceUnavailable("git-refused", f"{clone.url}: {one_line(error, 200) or 'the fetch failed'}")
