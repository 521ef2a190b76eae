"""Whether a merge commit has only what was reviewed: its host made it, or its content is that of the head.

Whoever may push can merge a branch with changes of their own. The host then takes the pull request for merged, and the
pushed commit for the one that the merge made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

REBASED_MAX = 20
"""Commits of one rebased branch whose contents are compared."""
WHAT_TO_DO = "; merge in the pages of the code host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A commit as its code host returns it. `tree` identifies its content; empty where the host does not state it."""

    parents: tuple[str, ...]
    tree: str = ""
    by_host: bool = False
    """Whether the host itself made and signed it. It signs commits of its pages too, which have one parent."""


class MergeHost(Protocol):
    async def made(self, commit_id: str) -> Made | None:
        """Return a commit; None where it cannot be read. Raises SourceUnavailable."""

    async def has(self, commit_id: str, other: str) -> bool | None:
        """Return whether the history of a commit has another; None where it is not known. Raises SourceUnavailable."""


async def unproved(host: MergeHost, commit_id: str, *, head: str, commits: Sequence[tuple[str, str]]) -> str:
    """Return why a merge commit may have more than the reviewed head; empty if it is proved that it has not.

    `commits` are those of the branch with their trees, oldest first, where the host lists them.
    """
    if commit_id == head:
        return ""
    made = await host.made(commit_id)
    if made is None or not made.parents:
        return "the host does not return it"
    if made.by_host and len(made.parents) == 2 and made.parents[1] == head:
        return ""
    if made.by_host and len(made.parents) == 1 and await host.has(commit_id, head) is False:
        return ""  # a squash: a commit of the host's pages follows the head, or is no merge at all
    wrong = await _not_the_head(host, made, head, dict(commits))
    return "" if wrong and await _is_rebased(host, made, head, commits) else wrong


async def _not_the_head(host: MergeHost, made: Made, head: str, trees: dict[str, str]) -> str:
    """Return why the content of a commit is not exactly that of the head, with nothing of the base lost."""
    tree = trees.get(head, "")
    if not tree:
        found = await host.made(head)
        tree = found.tree if found is not None else ""
    if not made.tree or not tree:
        return "the host did not sign it, and its content cannot be compared"
    if made.tree != tree:
        return "the host did not sign it, and its content is not that of the reviewed head"
    for one in made.parents:
        if one != head and await host.has(head, one) is not True:
            return "the host did not sign it, and the reviewed head was not up to date with the base branch"
    return ""


async def _is_rebased(host: MergeHost, made: Made, head: str, commits: Sequence[tuple[str, str]]) -> bool:
    """Return whether the newest commits are those of the branch, one by one, with the same contents."""
    if not 1 < len(commits) <= REBASED_MAX or commits[-1][0] != head or not all(tree for _, tree in commits):
        return False
    for place, (_, tree) in enumerate(reversed(commits)):
        if made.tree != tree or len(made.parents) != 1:
            return False
        before = await host.made(made.parents[0]) if place + 1 < len(commits) else made
        if before is None:
            return False
        made = before
    return await host.has(head, made.parents[0]) is True
