"""Merge commits by GitHub's REST API: who made them, and what is in them."""

from __future__ import annotations

from whence_aggregator.trackers.loose import flag, items, line, whole
from whence_aggregator.trackers.merges import Made
from whence_aggregator.trackers.source import JsonSource, path_of

_WITHOUT_FILES = {"per_page": "1", "page": "2"}
"""GitHub lists the changed files of a comparison, with their content, on its first page only."""


class GithubMerges:
    """Reads commits of one repository."""

    def __init__(self, source: JsonSource, place: tuple[str, str], *, host: str) -> None:
        self._source = source
        self._place = ("repos", *place)
        self._mails = ("noreply@github.com", f"noreply@{host}")

    async def made(self, commit_id: str) -> Made | None:
        """Return a commit.

        GitHub verifies a signature only for a committer whose address the key's account has, and its own is its own.
        It signs commits that an App makes by the API with any content, so those of bots are not taken for GitHub's.
        """
        answer = await self._source.get(path_of(*self._place, "git", "commits", commit_id))
        if answer.status != 200:
            return None
        found = answer.document
        by_host = flag(found, "verification", "verified") and line(found, "committer", "email").lower() in self._mails
        return Made(
            parents=tuple(line(one, "sha") for one in items(found, "parents")), tree=line(found, "tree", "sha"),
            by_host=by_host and not line(found, "author", "name").endswith("[bot]"),
        )  # fmt: skip

    async def has(self, commit_id: str, other: str) -> bool | None:
        path = path_of(*self._place, "compare", f"{commit_id}...{other}", query=_WITHOUT_FILES)
        answer = await self._source.get(path)
        ahead = whole(answer.document, "ahead_by") if answer.status == 200 else None
        return None if ahead is None else ahead == 0
