"""Which branches and tags a code host protects, by its API: which requests are sent, and what they mean.

Protection answers "now", so an answer is recorded with its time. A branch that is not listed is one that everybody who
may push can rewrite, the default branch too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.loose import flag, line, whole
from whence_aggregator.trackers.source import FORBIDDEN, PAGE_ITEMS, JsonSource, all_items, path_of

NAMES_MAX = 100
"""Protected branches, and tags, of one repository that are recorded and read; each is a pattern for `git ls-remote`."""
_PAGE = {"per_page": str(PAGE_ITEMS)}
_GITEA_PAGE = {"limit": "50"}
_NAME = re.compile(r"[^\x00-\x20\x7f~^:?\[\\]{1,200}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectedRefs:
    """What a code host protects: names, in which `*` is any characters, without `refs/heads/` and `refs/tags/`."""

    branches: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    reason: str = ""
    """What of it could not be read, and why."""


class ProtectionReader(Protocol):
    async def protected(self, path: str) -> ProtectedRefs:
        """Return what is protected in a repository now. Raises SourceUnavailable."""


class GithubProtection:
    """Protection by GitHub's REST API: branches by classic protection or a ruleset; it lists no protected tags."""

    def __init__(self, source: JsonSource, *, host: str) -> None:
        self._source = source
        self._host = host

    async def protected(self, path: str) -> ProtectedRefs:
        place = path_of("repos", *path.split("/"), "branches", query={**_PAGE, "protected": "true"})
        found = await all_items(self._source, place)
        if found is None:
            raise _unreadable(self._host, path)
        branches, cut = _names(line(one, "name") for one in found if flag(one, "protected"))
        return ProtectedRefs(branches=branches, reason=cut)


class GitlabProtection:
    """Protection by GitLab's REST API; its names may have wildcards."""

    def __init__(self, source: JsonSource, *, host: str) -> None:
        self._source = source
        self._host = host

    async def protected(self, path: str) -> ProtectedRefs:
        project = await self._source.get(path_of("projects", path))
        number = whole(project.document, "id")
        if project.status != 200 or number is None:
            raise _unreadable(self._host, path)
        found = await all_items(self._source, path_of("projects", str(number), "protected_branches", query=_PAGE))
        if found is None:
            raise _unreadable(self._host, path)
        branches, cut = _names(line(one, "name") for one in found)
        tags, unread = await self._tags(number)
        return ProtectedRefs(branches=branches, tags=tags, reason=cut or unread)

    async def _tags(self, number: int) -> tuple[tuple[str, ...], str]:
        try:
            found = await all_items(self._source, path_of("projects", str(number), "protected_tags", query=_PAGE))
        except SourceUnavailable as exc:
            if exc.code != FORBIDDEN:
                raise
            found = None
        if found is None:
            return (), f"the login for {self._host} may not read which tags are protected"
        return _names(line(one, "name") for one in found)


class GiteaProtection:
    """Protection by the REST API of Gitea and Forgejo, which states it with each branch."""

    def __init__(self, source: JsonSource, *, host: str) -> None:
        self._source = source
        self._host = host

    async def protected(self, path: str) -> ProtectedRefs:
        found = await all_items(self._source, path_of("repos", *path.split("/"), "branches", query=_GITEA_PAGE))
        if found is None:
            raise _unreadable(self._host, path)
        branches, cut = _names(line(one, "name") for one in found if flag(one, "protected"))
        return ProtectedRefs(branches=branches, reason=cut)


def _names(found: Iterable[Any]) -> tuple[tuple[str, ...], str]:
    """Return the usable names, bounded and in order; and why some are left out, if any are."""
    every = sorted({str(one) for one in found})
    usable = [one for one in every if _NAME.match(one)]
    kept = tuple(usable[:NAMES_MAX])
    left = len(every) - len(kept)
    return kept, f"{left} of its protected names are not read" if left else ""


def _unreadable(host: str, path: str) -> SourceUnavailable:
    return SourceUnavailable(
        "protection-unreadable", f"{host} does not let this login read the protected branches of {path[:120]}",
        fix=f"allow the login for {host} to read the repository's branches",
    )  # fmt: skip
