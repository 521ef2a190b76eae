"""Which approvals of a review count: the last word of each person, about the head that was merged."""

from __future__ import annotations

from typing import Any

import pytest

from whence_aggregator.trackers.review import Review, Vote, good_approvals, last_words

HEAD, OLDER = "1" * 40, "2" * 40


def review(*votes: Vote, **changes: Any) -> Review:
    values: dict[str, Any] = {
        "number": 12, "url": "", "title": "", "text": "", "branch": "b", "base": "main", "head": HEAD, "author": "ada",
        "author_bot": False, "merged_at": "", "merged_by": "bob", "merge_commit": "", "how": "in_branch",
        "votes": votes, **changes,
    }  # fmt: skip
    return Review(**values)


def vote(by: str = "bob", **changes: Any) -> Vote:
    return Vote(**{"by": by, "state": "approved", "commit": HEAD, "official": True, **changes})


def test_an_approval_of_the_merged_head_by_somebody_else_counts() -> None:
    assert [one.by for one in good_approvals(review(vote("bob"), vote("eve", official=None)))] == ["bob", "eve"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"by": "ada"}, "it is by the author"),
        ({"by": ""}, "the account of the reviewer was deleted"),
        ({"bot": True}, "it is by a bot"),
        ({"commit": OLDER}, "it is about 222222222222, and 111111111111 was merged"),
        ({"commit": ""}, "it is not known which head it is about"),
        ({"stale": True}, "it is stale: the change was updated after it"),
        ({"official": False}, "the reviewer may not approve here"),
        ({"unproved": "it is not known"}, "it is not known"),
        ({"at": "2026-11-22T12:00:00.001Z"}, "it was given after the merge at 2026-11-22T12:00:00.000Z"),
        ({"state": "dismissed"}, "it was dismissed"),
        ({"state": "changes_requested"}, "it requests changes"),
    ],
)  # fmt: skip
def test_an_approval_that_does_not_count_says_why(changes: dict[str, Any], why: str) -> None:
    (word,) = last_words(review(vote(**{"by": "bob", **changes}), merged_at="2026-11-22T12:00:00.000Z"))
    assert (word.counts, word.why) == (False, why)


@pytest.mark.parametrize(
    ("states", "counts"),
    [
        (("changes_requested", "approved"), True),
        (("approved", "changes_requested"), False),
        (("approved", "dismissed"), False),
        (("approved", "commented"), True),
        (("approved", "pending"), True),
        (("approved", "changes_requested", "commented"), False),
        (("dismissed", "approved"), True),
        (("commented",), False),
    ],
)  # fmt: skip
def test_the_last_word_of_a_person_counts_and_comments_are_no_words(states: tuple[Any, ...], counts: bool) -> None:
    assert bool(good_approvals(review(*(vote(state=one) for one in states)))) is counts


def test_an_approval_after_the_merge_neither_counts_nor_replaces_what_was_said_before() -> None:
    before, late = vote(at="2026-11-22T11:00:00.000Z"), vote(at="2026-11-22T13:00:00.000Z", commit=OLDER)
    merged = {"merged_at": "2026-11-22T12:00:00.000Z"}
    assert good_approvals(review(before, late, **merged)) == [before]
    assert good_approvals(review(vote(state="changes_requested"), late, **merged)) == []
    assert good_approvals(review(late, **merged)) == []


def test_a_merge_that_was_recorded_before_merges_were_compared_is_not_proved() -> None:
    stored = review(how="merge_commit").to_wire()
    del stored["unproved"]
    assert Review.from_wire(stored).unproved == "it was read before merge commits were compared with what was reviewed"
    assert Review.from_wire({**stored, "how": "in_branch"}).unproved == ""


def test_an_older_approval_does_not_revive_after_a_newer_one_of_another_head() -> None:
    assert good_approvals(review(vote(), vote(commit=OLDER))) == []


def test_an_approval_by_somebody_whose_commits_are_in_the_branch_is_marked() -> None:
    (word,) = last_words(review(vote("bob"), committers=("ada", "bob")))
    assert (word.counts, word.committer) == (True, True)


def test_a_review_that_was_recorded_is_read_back_as_it_was() -> None:
    one = review(vote(), committers=("ada",), asked=("eve",), failed_checks=("build",), checks="failure")
    assert Review.from_wire(one.to_wire()) == one
