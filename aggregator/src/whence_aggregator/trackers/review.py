"""A review of a change, and which of its approvals count. Pure.

An approval counts when it is the person's last word, is about the head that was merged, and comes from somebody else
than the author who may approve. What is not known does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

VoteState = Literal["approved", "changes_requested", "commented", "dismissed", "pending"]
Checked = Literal["success", "failure", "pending", "none", "unknown"]
VOTES_MAX = 200
NOT_COMPARED = "it was read before merge commits were compared with what was reviewed"
_WORDLESS = ("commented", "pending")
"""States that do not replace an earlier vote."""


COMMIT_UNKNOWN = "commit_unknown"
"""The member of a fact that states that the code host does not have the commit: it knows nothing of its review."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What one person stated about one head of a review."""

    by: str
    """Empty when the account was deleted."""
    state: VoteState
    commit: str = ""
    """The head that it is about; empty when the host does not state it."""
    at: str = ""
    bot: bool = False
    official: bool | None = None
    """Whether the person may approve; None when the host does not state it."""
    stale: bool = False
    unproved: str = ""
    """Why it is not known whether the person may approve, where the host could state it; the vote does not count."""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Vote:
        return cls(
            by=wire["by"], state=wire["state"], commit=wire["commit"], at=wire["at"], bot=wire["bot"],
            official=wire["official"], stale=wire["stale"], unproved=wire.get("unproved", ""),
        )  # fmt: skip

    def to_wire(self) -> dict[str, Any]:
        return {
            "by": self.by, "state": self.state, "commit": self.commit, "at": self.at, "bot": self.bot,
            "official": self.official, "stale": self.stale, "unproved": self.unproved,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A merged pull or merge request that a commit came in by."""

    number: int
    url: str
    title: str
    text: str
    branch: str
    base: str
    head: str
    author: str
    author_bot: bool
    merged_at: str
    merged_by: str
    merge_commit: str
    how: str
    """`merge_commit`: the commit is the one that the host made; `in_branch`: it is one of the reviewed commits."""
    votes: tuple[Vote, ...] = ()
    asked: tuple[str, ...] = ()
    """People who were asked for a review."""
    committers: tuple[str, ...] = ()
    """People whose commits are in the branch; they may have approved their own changes."""
    committers_proved: bool = False
    """Whether nobody else has commits in it: the host has verified the signature of each, and knows its people."""
    checks: Checked = "unknown"
    failed_checks: tuple[str, ...] = ()
    unproved: str = ""
    """Why the commit, where a merge made it, may have more than what was reviewed; empty if it has not."""

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Review:
        votes = tuple(Vote.from_wire(one) for one in wire["votes"])
        values: dict[str, Any] = {name: wire[name] for name in _PLAIN}
        values["committers_proved"] = wire.get("committers_proved", False)
        values["unproved"] = wire.get("unproved", NOT_COMPARED if wire["how"] == "merge_commit" else "")
        values |= {name: tuple(wire[name]) for name in _LISTS}
        return cls(**values, votes=votes)

    def to_wire(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "committers_proved": self.committers_proved,
            "unproved": self.unproved,
            **{name: list(getattr(self, name)) for name in _LISTS},
            "votes": [one.to_wire() for one in self.votes],
        }


_LISTS = ("asked", "committers", "failed_checks")
_PLAIN = (
    "number", "url", "title", "text", "branch", "base", "head", "author", "author_bot", "merged_at", "merged_by",
    "merge_commit", "how", "checks",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """The last word of one person in a review: whether it is an approval that counts, and if not, why."""

    vote: Vote
    counts: bool
    why: str
    committer: bool

    def to_wire(self) -> dict[str, Any]:
        return {**self.vote.to_wire(), "counts": self.counts, "why": self.why or None, "committer": self.committer}


def condensed(votes: Iterable[Vote]) -> tuple[Vote, ...]:
    """Return the votes that are recorded: the newest ones, and of comments one of each person who did nothing else.

    A long discussion would otherwise be recorded again with each comment.
    """
    every = list(votes)
    kept = [one for one in every if one.state not in _WORDLESS][-VOTES_MAX:]
    voted = {one.by for one in kept}
    for one in every:
        if one.state in _WORDLESS and one.by not in voted and len(kept) < 2 * VOTES_MAX:
            voted.add(one.by)
            kept.append(one)
    return tuple(kept)


def last_words(review: Review) -> list[Word]:
    """Return each person's last word, in the order of the first; deleted accounts are kept apart."""
    last: dict[str, Vote] = {}
    for place, vote in enumerate(review.votes):
        who = vote.by or f" {place}"
        if vote.state in _WORDLESS or (who in last and vote.state == "approved" and _is_late(vote, review)):
            continue
        last[who] = vote
    return [
        Word(vote=one, counts=not (why := _why_not(one, review)), why=why, committer=one.by in review.committers)
        for one in last.values()
    ]


def good_approvals(review: Review) -> list[Vote]:
    """Return the approvals that count."""
    return [one.vote for one in last_words(review) if one.counts]


def people_of(review: Review) -> tuple[str, ...]:
    """Return the logins of all who made, judged or merged a review, in lower case, each once.

    Who was merely asked, or began a comment and did not send it, did nothing.
    """
    acted = (one.by for one in review.votes if one.state != "pending")
    every = (review.author, review.merged_by, *review.committers, *acted)
    return tuple(dict.fromkeys(one.lower() for one in every if one))


def _is_late(vote: Vote, review: Review) -> bool:
    """Return whether a vote was given after the merge, which it had no part in. Both times are the host's."""
    return bool(vote.at) and bool(review.merged_at) and vote.at > review.merged_at


def _why_not(vote: Vote, review: Review) -> str:
    """Return why a vote is not an approval that counts; empty when it is."""
    checks = (
        (vote.state == "dismissed", "it was dismissed"),
        (vote.state != "approved", "it requests changes"),
        (not vote.by, "the account of the reviewer was deleted"),
        (vote.by == review.author, "it is by the author"),
        (vote.bot, "it is by a bot"),
        (vote.stale, "it is stale: the change was updated after it"),
        (_is_late(vote, review), f"it was given after the merge at {review.merged_at}"),
        (vote.official is False, "the reviewer may not approve here"),
        (bool(vote.unproved), vote.unproved),
        (not vote.commit, "it is not known which head it is about"),
        (vote.commit != review.head, f"it is about {vote.commit[:12]}, and {review.head[:12]} was merged"),
    )
    return next((why for wrong, why in checks if wrong), "")
