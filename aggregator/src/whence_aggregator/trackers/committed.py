"""Who committed to the branch of a review, as GitHub and Gitea list its commits. Pure.

The account that a host names for a commit is that of the address in it, which its author chose. Only a signature that
the host verified proves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whence_aggregator.trackers.loose import flag, line

_HOST_ITSELF = "web-flow"
"""GitHub's account for commits made in its pages."""


def committers(commits: Sequence[Any]) -> tuple[str, ...]:
    """Return the accounts of authors and committers, each once; the host itself is left out."""
    people = [line(one, who, "login") for one in commits for who in ("author", "committer")]
    return tuple(dict.fromkeys(one for one in people if one and one != _HOST_ITSELF))


def are_proved(commits: Sequence[Any], *, total: int | None) -> bool:
    """Return whether no other account has commits in the branch. `total` is how many the host counts, if it does."""
    if not commits or (total is not None and total != len(commits)):
        return False
    return all(
        line(one, "author", "login") and line(one, "committer", "login")
        and flag(one, "commit", "verification", "verified")
        for one in commits
    )  # fmt: skip


def trees_of(commits: Sequence[Any]) -> list[tuple[str, str]]:
    """Return the ids of commits with those of their trees, in the order listed."""
    return [(line(one, "sha"), line(one, "commit", "tree", "sha")) for one in commits]
