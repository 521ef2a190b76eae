"""Merge commits by GitLab's REST API: who made them, and what is in them."""

from __future__ import annotations

from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.trackers.loose import items, line
from whence_aggregator.trackers.merges import Made
from whence_aggregator.trackers.source import FORBIDDEN, PAGE_ITEMS, JsonSource, all_items, path_of


class GitlabMerges:
    """Reads commits of one project. `squashed`: the commit into which GitLab made the branch of the merge request."""

    def __init__(self, source: JsonSource, project: int, *, head: str, squashed: str) -> None:
        self._source = source
        self._place = ("projects", str(project), "repository")
        self._head = head
        self._squashed = squashed

    async def made(self, commit_id: str) -> Made | None:
        """Return a commit; GitLab states `verified_system` for those that it made and signed itself."""
        place = (*self._place, "commits", commit_id)
        answer = await self._source.get(path_of(*place))
        if answer.status != 200:
            return None
        parents = tuple(one for one in items(answer.document, "parent_ids") if isinstance(one, str))
        if self._squashed and parents[1:] == (self._squashed,):
            parents = (parents[0], self._head)
        signature = await self._source.get(path_of(*place, "signature"))
        by_host = signature.status == 200 and line(signature.document, "verification_status") == "verified_system"
        if by_host and parents[1:] == (self._head,):
            return Made(parents=parents, by_host=True)
        # a commit of GitLab's pages is signed in the same way: one parent proves no squash
        return Made(parents=parents, tree=await self._tree(commit_id))

    async def has(self, commit_id: str, other: str) -> bool | None:
        query = [("refs[]", commit_id), ("refs[]", other)]
        answer = await self._source.get(path_of(*self._place, "merge_base", query=query))
        base = line(answer.document, "id") if answer.status == 200 else ""
        return base == other if base else None

    async def _tree(self, commit_id: str) -> str:
        """Return what the root of a commit's tree has, with the ids of all: GitLab states no id of a tree itself."""
        query = {"ref": commit_id, "per_page": str(PAGE_ITEMS)}
        try:
            found = await all_items(self._source, path_of(*self._place, "tree", query=query))
        except SourceUnavailable as exc:
            if exc.code != FORBIDDEN:
                raise
            return ""
        listed = [(line(one, "mode"), line(one, "id"), line(one, "path")) for one in found or ()]
        return repr(sorted(listed)) if all(all(one) for one in listed) else ""
