"""The commits between two commits of one repository, as collectors know them.

Nothing here reads a repository: an implementation answers from storage, and `unknown` where it has no answer yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import msgspec

from whence_aggregator.trace.tickets import named_in

COMMITS_MAX = 1_000
"""The most commits of a range in a response, in each direction."""

MESSAGES_CHARACTERS_MAX = 2_000_000
"""Of the commits of one direction: tickets are searched in all messages, and each may have 64 Ki characters."""

RangeState = Literal["same", "found", "unknown"]


class RangeCommit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of a range. Author and message are text that anyone can write. A thousand are made for one answer."""

    commit_id: str
    author: str = ""
    committed_at: str = ""
    message: str = ""
    parents: tuple[str, ...] = ()
    review: Mapping[str, Any] | None = None
    """As the API shows it; None where nobody was asked."""
    named: tuple[Mapping[str, Any], ...] = ()
    """The tickets that the message and its reviews name, as far as they were asked about."""

    def __repr__(self) -> str:
        return f"RangeCommit(commit_id={self.commit_id!r})"

    def to_wire(self, patterns: tuple[str, ...]) -> dict[str, Any]:
        """Return the commit with what its message and its review name."""
        named = named_in(self.message, patterns)
        tickets = dict.fromkeys((*(one.id for one in named.tickets), *(str(one["id"]) for one in self.named)))
        return {
            "commit": self.commit_id,
            "author": self.author or None,
            "committed_at": self.committed_at or None,
            "subject": self.message.split("\n", 1)[0][:300],
            "parents": list(self.parents),
            "tickets": list(tickets),
            "reviews": [one.id for one in named.reviews],
            "review": dict(self.review) if self.review is not None else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRange:
    """The commits that only one of two commits contains, newest first; both lists have some if history diverged."""

    state: RangeState
    reason: str | None = None
    only_a: tuple[RangeCommit, ...] = ()
    only_b: tuple[RangeCommit, ...] = ()
    due_at: str | None = None
    """When a range that is not collected is tried next; None where nothing tries it."""
    cut: bool = False
    """Whether there are more commits than were collected or than a response holds."""

    def __post_init__(self) -> None:
        assert (self.state == "unknown") == bool(self.reason), "an unknown range has a reason, and no other has one"

    def mirrored(self) -> CommitRange:
        """Return the same range, seen from the other end."""
        return replace(self, only_a=self.only_b, only_b=self.only_a)

    def bounded(self, commits_max: int) -> CommitRange:
        """Return the range with at most so many commits in each direction, and MESSAGES_CHARACTERS_MAX of messages."""
        only_a, only_b = (_first(one, commits_max) for one in (self.only_a, self.only_b))
        cut = self.cut or len(only_a) < len(self.only_a) or len(only_b) < len(self.only_b)
        return replace(self, only_a=only_a, only_b=only_b, cut=cut)

    def to_wire(self, patterns: tuple[str, ...]) -> dict[str, Any]:
        return {
            "state": self.state,
            "reason": self.reason,
            "due_at": self.due_at,
            "diverged": bool(self.only_a and self.only_b),
            "cut": self.cut,
            "only_a": [one.to_wire(patterns) for one in self.only_a],
            "only_b": [one.to_wire(patterns) for one in self.only_b],
            "tickets": each_once(one for commit in (*self.only_b, *self.only_a) for one in commit.named),
        }


def each_once(named: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return tickets, each once: as they stand to the first commit that names them."""
    found: dict[str, dict[str, Any]] = {}
    for one in named:
        found.setdefault(str(one["id"]), dict(one))
    return list(found.values())


def _first(commits: tuple[RangeCommit, ...], commits_max: int) -> tuple[RangeCommit, ...]:
    characters = 0
    for place, one in enumerate(commits[:commits_max]):
        characters += len(one.message)
        if characters > MESSAGES_CHARACTERS_MAX:
            return commits[:place]
    return commits[:commits_max]


SAME = CommitRange(state="same")


def unknown(reason: str, *, due_at: str | None = None) -> CommitRange:
    """Return a range of which nothing is known."""
    return CommitRange(state="unknown", reason=reason, due_at=due_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceCommit:
    """A commit of a repository, as `host/path`."""

    repository: str
    commit_id: str


def answered_alone(a: SourceCommit | None, b: SourceCommit | None) -> CommitRange | None:
    """Return the range where no collector is needed; None where one is."""
    if a is None or b is None:
        return unknown("the commits of both sides are not known" if a is b else "the commit of one side is not known")
    if a.repository != b.repository:
        one, other = sorted((a.repository, b.repository))
        return unknown(f"the commits are of different repositories: {one} and {other}")
    return SAME if a.commit_id == b.commit_id else None


class CommitRanges(Protocol):
    """Answers from storage which commits lie between two commits of a repository."""

    async def between(self, a: SourceCommit, b: SourceCommit, *, commits_max: int) -> CommitRange:
        """Return the range; `unknown` with a reason if it was not collected."""
