"""What a seeded history was made of: commits, pull requests, tickets and releases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PROJECT = "PAY"
REPOSITORY = "acme/greeter"
Shape = Literal["root", "squash", "rebase", "merge", "topic", "octopus", "revert", "direct", "backport", "merge-back"]
Fate = Literal["open", "missing", "closed-early", "moved", "moved-away"]
"""Closed before the commit; moved within the project; moved to another project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadePull:
    """A merged pull request. `merge` is its merge or squash commit, or the last one of a rebase."""

    number: int
    base: str
    branch: str
    title: str
    text: str
    head: str
    commits: tuple[str, ...]
    """Commits of its branch; those of a squash or a rebase are on no branch any more."""
    merge: str
    landed: tuple[str, ...]
    """All commits by which it is in the history."""
    tickets: tuple[tuple[str, str], ...] = ()
    """Id and place of the tickets that title, branch and text name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeCommit:
    """A commit as it was made."""

    id: str
    parents: tuple[str, ...]
    shape: Shape
    message: str
    committed_at: int
    tickets: tuple[tuple[str, str], ...] = ()
    """Id and place of the tickets that the message names."""
    reverted: str = ""


@dataclass(slots=True, kw_only=True)
class History:
    """Everything that was made; commits in the order of their making, parents first."""

    commits: dict[str, MadeCommit] = field(default_factory=dict)
    pulls: list[MadePull] = field(default_factory=list)
    issues: list[int] = field(default_factory=list)
    """Numbers of GitHub's issues, which share their numbers with pull requests."""
    fates: dict[str, Fate] = field(default_factory=dict)
    """By ticket."""
    releases: list[str] = field(default_factory=list)
    """Commits of the releases from main, oldest first."""
    patches: list[str] = field(default_factory=list)
    """Commits of the releases from lines of their own, each diverged from main."""

    def reached(self, *tips: str) -> set[str]:
        """Return the commits that these reach, themselves too."""
        found: set[str] = set()
        waiting = list(tips)
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self.commits[one].parents
        return found

    def pulls_by_commit(self) -> dict[str, list[MadePull]]:
        """Return the pull requests by which each commit came in; commits that were pushed directly have none."""
        found: dict[str, list[MadePull]] = {}
        for pull in self.pulls:
            for commit in pull.landed:
                found.setdefault(commit, []).append(pull)
        return found
