"""The reviews of the commit of what started, as the change record shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from whence_aggregator.changes.reviewed import reviewed
from whence_aggregator.trace.commit_tracked import CommitFacts, commit_facts
from whence_aggregator.trace.facts import Answer
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_aggregator.trackers.review import Review, Vote

COMMIT, HEAD = "c" * 40, "1" * 40
TRACKERS = KnownTrackers(
    by_host={"git.example.org": KnownTracker(host="git.example.org", type="github", reviews=True, shared=True)}
)
GOOD = Vote(by="bob", state="approved", commit=HEAD)


def facts(*votes: Vote, first: str | None = None, **changes: Any) -> CommitFacts:
    """Return a commit with one review of it."""
    values: dict[str, Any] = {
        "number": 4, "url": "https://git.example.org/pull/4", "title": "", "text": "", "branch": "", "base": "main",
        "head": HEAD, "author": "ada", "author_bot": False, "merged_at": "", "merged_by": "", "merge_commit": COMMIT,
        "how": "merge_commit", **changes,
    }  # fmt: skip
    review = Review(**values, votes=votes)
    value = {
        "reviews": [review.to_wire()], "default_branch": "main", "repository_id": "42",
        "first_repository": {"repository_id": first, "recorded_at": "2026-11-20T10:00:00.000Z"} if first else None,
    }  # fmt: skip
    found = commit_facts("git.example.org/demo/greeter", {"commit": COMMIT}, None, TRACKERS)
    return replace(found, review=Answer(outcome="found", value=value))


def test_an_approval_of_what_was_merged_into_the_default_branch_has_no_reason_against_it() -> None:
    found = reviewed(facts(GOOD))
    assert (found["state"], found["reason"], found["reviews"][0]["approved_by"]) == ("found", None, ["bob"])


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (facts(GOOD, base="elsewhere"), "#4 was merged into elsewhere, which is not the default branch"),
        (facts(GOOD, unproved="the host did not sign it"), "only what was approved: the host did not sign it"),
        (facts(replace(GOOD, by="ada")), "without an approval that counts (ada: it is by the author)"),
        (facts(GOOD, first="7"), "another repository has its name"),
    ],
)
def test_why_approvals_do_not_confirm_the_commit_is_stated(known: CommitFacts, reason: str) -> None:
    assert reason in reviewed(known)["reason"]
