"""Commits of the configured Git servers: their objects, signatures, what reaches them, and what is between two."""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeVar

from whence_aggregator.adapters.git_cache import GitCache, NoGitCache
from whence_aggregator.adapters.git_clone import FETCH, CloneBounds, GitClone, GitFailed
from whence_aggregator.adapters.git_history import Advertised, Protection, advertised, reaching
from whence_aggregator.adapters.git_objects import read_commit
from whence_aggregator.adapters.git_places import GitPlace
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_range import RangeBounds, between
from whence_aggregator.adapters.git_renamed import NoRenames, Renames
from whence_aggregator.adapters.git_signatures import CommitTrust, verified
from whence_aggregator.ports import BranchAnswer, ProtectedNames, SourceUnavailable
from whence_aggregator.ports_commits import CommitObject, RangeAnswer, SignatureAnswer
from whence_common.identifiers import COMMIT_ID
from whence_common.scm_source import SourceRepository

T = TypeVar("T")
FETCH_SECONDS_MAX = 60.0
FILE_BYTES_MAX = 64 * 1024 * 1024
"""Bounds a server that ignores the filter and sends everything, and the size of a history."""
_ANSWERS_KEPT_MAX = 10_000
_NO_SUCH_COMMIT = "not our ref"
_ONLY_ADVERTISED = ("Server does not allow request", "unadvertised object")
_SHA256_CHARACTERS = 64


class GitServerReader:
    """Reads from the configured Git servers only: an image names the address, so it is untrusted."""

    def __init__(
        self,
        *,
        runs: GitRuns,
        places: Mapping[str, GitPlace],
        protected: Mapping[str, Protection] | None = None,
        trust: CommitTrust | None = None,
        cache: GitCache | NoGitCache | None = None,
        renames: Renames | None = None,
        bounds: RangeBounds | None = None,
        seconds_max: float = FETCH_SECONDS_MAX,
        file_bytes_max: int = FILE_BYTES_MAX,
    ) -> None:
        self._runs = runs
        self._places = places
        self._protected = protected or {}
        self._trust = trust or CommitTrust()
        self._cache = cache or NoGitCache()
        self._renames = renames or NoRenames()
        self._range_bounds = bounds or RangeBounds()
        self._seconds_max = seconds_max
        self._file_bytes_max = file_bytes_max
        self._reached: OrderedDict[str, BranchAnswer] = OrderedDict()
        """Which refs reach a commit, which does not change while they name the same commits."""

    async def commit(self, repository: SourceRepository, commit_id: str) -> CommitObject | None:
        """Return a commit object; Git itself verifies that the bytes hash to the id. Raises SourceUnavailable."""

        async def read(place: SourceRepository) -> CommitObject | None:
            async with self._holding(place, commit_id) as clone:
                return await read_commit(clone, commit_id) if clone is not None else None

        return (await self._followed(repository, read))[0]

    async def signature(self, repository: SourceRepository, commit_id: str) -> SignatureAnswer:
        """Verify a commit's signature with the keys that are trusted for the repository. Raises SourceUnavailable."""

        async def verify(place: SourceRepository) -> SignatureAnswer:
            async with self._holding(place, commit_id) as clone:
                if clone is None:
                    reason = "the server does not have the commit any more"
                    return SignatureAnswer(state="unknown", form="other", reason=reason)
                return await verified(clone, self._trust.of(repository), commit_id)

        return (await self._followed(repository, verify))[0]

    async def branch(
        self, repository: SourceRepository, commit_id: str, protected: ProtectedNames | None = None
    ) -> BranchAnswer:
        """Return whether the default branch or a protected ref reaches a commit. Raises SourceUnavailable."""
        assert COMMIT_ID.match(commit_id)
        names = protected or ProtectedNames()
        answer, moved = await self._followed(repository, lambda place: self._branch(place, commit_id, names))
        return replace(answer, moved_to=str(moved)) if moved is not None else answer

    async def _branch(self, repository: SourceRepository, commit_id: str, names: ProtectedNames) -> BranchAnswer:
        async with self._kept(repository, commit_id) as clone:
            known = await advertised(clone, self._protected.get(repository.host, Protection()).and_of(names), commit_id)
            if not known.default:
                return BranchAnswer(reason=known.reason)
            key = _key(repository, known, commit_id)
            answer = self._reached.get(key)
            if answer is None:
                answer = await reaching(clone, known, commit_id)
                if answer.reachable is not None and answer.commit_id == known.head:
                    self._reached[key] = answer
                    if len(self._reached) > _ANSWERS_KEPT_MAX:
                        self._reached.popitem(last=False)
            return answer

    async def between(self, repository: SourceRepository, base: str, head: str) -> RangeAnswer:
        """Return the commits between two commits, in both directions. Raises SourceUnavailable."""
        assert COMMIT_ID.match(base)
        assert COMMIT_ID.match(head)
        async with self._kept(repository, head) as clone:
            return await between(clone, (base, head), self._range_bounds)

    async def _followed(
        self, repository: SourceRepository, ask: Callable[[SourceRepository], Awaitable[T]]
    ) -> tuple[T, SourceRepository | None]:
        """Return an answer; from the new name if the server redirects a renamed repository, once, on its own host."""
        try:
            return await ask(repository), None
        except SourceUnavailable as exc:
            place = self._places.get(repository.host)
            if exc.code != "git-refused" or place is None or not place.web:
                raise
            moved = await self._renames.moved(place, repository)
            if moved is None:
                raise
        return await ask(moved), moved

    @asynccontextmanager
    async def _holding(self, repository: SourceRepository, commit_id: str) -> AsyncIterator[GitClone | None]:
        """Return a repository of ours that holds a commit; None when the server does not have the commit.

        NOTE: a single commit is fetched with a depth, which would cut the histories that a kept repository has.
        """
        assert COMMIT_ID.match(commit_id)
        if isinstance(self._cache, GitCache):
            async with self._kept(repository, commit_id) as kept:
                if await kept.has_commit(commit_id):
                    yield kept
                    return
        async with self._clone(repository, commit_id, NoGitCache()) as clone:
            status, _, error = await clone.ask(*FETCH, "--depth=1", "--", "origin", commit_id)
            if status != 0 and _NO_SUCH_COMMIT in error:
                yield None
                return
            if status != 0 and not any(sign in error for sign in _ONLY_ADVERTISED):
                raise clone.refused(error)
            if status != 0:
                await _fetch_every_ref(clone)
            # the id may be that of an annotated tag, which git would resolve to its commit
            yield clone if await clone.has_commit(commit_id) else None

    @asynccontextmanager
    async def _kept(self, repository: SourceRepository, commit_id: str) -> AsyncIterator[GitClone]:
        """Return the repository of ours that is kept for a server's repository."""
        async with self._clone(repository, commit_id, self._cache) as clone:
            yield clone

    @asynccontextmanager
    async def _clone(
        self, repository: SourceRepository, commit_id: str, cache: GitCache | NoGitCache
    ) -> AsyncIterator[GitClone]:
        place = self._places.get(repository.host)
        if place is None:
            raise SourceUnavailable(
                "git-not-configured", f"{repository.host} is not in `git_servers` of the aggregator's settings"
            )
        object_format = "sha256" if len(commit_id) == _SHA256_CHARACTERS else "sha1"
        name = f"{object_format} {place.url(repository)}"
        async with cache.place(name) as kept:
            clone = GitClone(
                runs=self._runs,
                place=place,
                repository=repository,
                directory=kept.directory,
                held=kept.held,
                bounds=CloneBounds(
                    seconds_max=self._seconds_max,
                    file_bytes_max=self._file_bytes_max,
                    until=asyncio.get_running_loop().time() + 3 * self._seconds_max,
                ),
            )
            try:
                if kept.is_new:
                    await clone.init(object_format)
                yield clone
            except GitFailed:
                cache.forget(name)
                raise


async def _fetch_every_ref(clone: GitClone) -> None:
    """Fetch all advertised commits, for a server that sends no others."""
    status, _, error = await clone.ask(*FETCH, "--", "origin", "+refs/*:refs/whence/all/*")
    if status != 0:
        raise clone.refused(error)
    if clone.is_shallow():
        raise SourceUnavailable("git-shallow", f"{clone.url}: the server's repository is a shallow clone")


def _key(repository: SourceRepository, known: Advertised, commit_id: str) -> str:
    stated = repr((str(repository), known, commit_id))
    return hashlib.sha256(stated.encode("utf-8", "surrogatepass")).hexdigest()
