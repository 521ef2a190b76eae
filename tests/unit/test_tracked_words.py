"""Reviews and tickets of commits in words."""

from __future__ import annotations

from typing import Any

import pytest

from whence_aggregator.whence.tracked_words import review_words, ticket_words, unknown_reviews, unknown_tickets


def review(state: str, reason: str | None = None, **shown: Any) -> dict[str, Any]:
    return {"state": state, "reason": reason, "number": 12, "author": "ada", "approved_by": ["bob"], **shown}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, ""),
        (review("unknown", "not configured: reviews of git.example.org are not read"), ""),
        (review("unknown", "the host is away"), "review unknown: the host is away"),
        (review("missing", "it was pushed directly"), "no review: it was pushed directly"),
        (review("asserted", "why"), "review #12 by ada, approved by bob, not proved: why"),
        (review("asserted", "why", approved_by=[]), "review #12 by ada, without an approval that counts"),
        (review("contradicted", "another repository"), "review #12 by ada, contradicted: another repository"),
        (review("confirmed"), "review #12 by ada, approved by bob"),
        (review("confirmed", author=None), "review #12, approved by bob"),
    ],
)
def test_an_unknown_review_is_told_apart_from_none(found: dict[str, Any] | None, words: str) -> None:
    assert review_words(found) == words


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, ""),
        ({"state": "asserted"}, ""),
        ({"state": "asserted", "reason": "it was created after the merge"}, "asserted it was created after the merge"),
        ({"state": "confirmed", "title": "Pay", "status": "Open"}, "confirmed Pay, Open"),
        ({"state": "missing", "problem": "missing", "reason": "there is no PAY-7"}, "missing there is no PAY-7"),
        ({"state": "unknown", "problem": "forbidden", "reason": "403"}, "unknown forbidden, 403"),
        ({"state": "unknown"}, "unknown"),
    ],
)
def test_a_ticket_has_its_state_and_why_it_is_not_confirmed(found: dict[str, Any], words: str) -> None:
    assert ticket_words({"id": "PAY-7", **found}) == words


def test_why_reviews_and_tickets_are_unknown_is_told_once() -> None:
    commits: list[dict[str, Any]] = [
        {"review": review("unknown", "away")},
        {"review": review("unknown", "away")},
        {"review": None},
        {},
    ]
    assert list(unknown_reviews(commits)) == ["the reviews of 2 commits are unknown: away"]
    assert unknown_tickets([{"id": "PAY-7", "state": "unknown", "reason": "away"}, {"id": "PAY-8"}]) == [
        "ticket PAY-7: away"
    ]
